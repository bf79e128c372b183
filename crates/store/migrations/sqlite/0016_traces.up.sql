-- For what a job was promised: the header traceparent of the W3C Trace Context; nothing for what came of no request.
ALTER TABLE job ADD COLUMN traceparent TEXT;
