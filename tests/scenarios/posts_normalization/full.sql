-- Old rows whole, for elements, columns that become rows, and conditions outside of the key.
ALTER TABLE posts REPLICA IDENTITY FULL;
ALTER TABLE post_analytics REPLICA IDENTITY FULL;
ALTER TABLE chat_messages REPLICA IDENTITY FULL;
