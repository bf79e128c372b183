DROP TABLE lead_import_fault;
DROP TABLE lead_import;
