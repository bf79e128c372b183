DROP TABLE voice_session;
