DROP TABLE document_term;
DROP TABLE document_passage;
DROP TABLE document;
