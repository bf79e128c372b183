REVOKE SELECT ON stream FROM mainstay_system;
DROP POLICY system ON stream;
