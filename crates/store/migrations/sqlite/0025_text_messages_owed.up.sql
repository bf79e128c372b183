-- Messages that the provider has not been told of for certain, by when they are due: few, whatever is kept.
CREATE INDEX text_message_owed ON text_message (due_at, id) WHERE state IN ('waiting', 'sending', 'unknown');
