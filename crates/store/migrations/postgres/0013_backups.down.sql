DO $$
DECLARE guarded record;
BEGIN
  FOR guarded IN SELECT tablename FROM pg_policies WHERE schemaname = current_schema() AND policyname = 'backup'
  LOOP
    EXECUTE format('DROP POLICY backup ON %I', guarded.tablename);
  END LOOP;
END $$;
DROP TABLE restore_drill;
DROP TABLE backup;
DROP TABLE installation;
