\pset null '(null)'
\set QUIET on
\timing off

CREATE EXTENSION bitnet;

-- A question
SELECT bitnet_generate('What is a transaction in PostgreSQL?', max_tokens => 40);

-- A table of texts
CREATE TABLE ticket (
    id       int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    body     text NOT NULL,
    category text
);

-- A trigger that files what comes in
CREATE TRIGGER ticket_category
    BEFORE INSERT OR UPDATE OF body ON ticket
    FOR EACH ROW EXECUTE FUNCTION bitnet_trigger(
        'category', 'bitnet_classify', 'body',
        '{"labels": ["delivery", "billing", "login"]}');

INSERT INTO ticket (body) VALUES
    ('Hello, my parcel with order number 48213 was due on Monday and still has not arrived. Please tell me where it is.'),
    ('I was charged twice for the same invoice in March. I would like to have the second payment refunded.'),
    ('Since the update I cannot sign in any more, it says my password is wrong although I reset it yesterday.'),
    ('The courier left the box with a neighbour and one of the two cups is broken. Can you send a new one?');

SELECT id, category, left(body, 60) AS body FROM ticket ORDER BY id;

-- One label out of several, and how sure the model is
SELECT label, round(probability::numeric, 3) AS probability
FROM bitnet_classify_scores('The app crashes when I press the save button',
                            ARRAY['bug', 'question', 'praise']);

-- A summary of each row
SELECT id, bitnet_summarize(body, max_words => 15) AS summary FROM ticket ORDER BY id;

-- The texts that mean nearly the same, by the angle between their embeddings
SELECT id, round(bitnet_similarity(body, 'Where is my package?')::numeric, 3) AS similarity
FROM ticket ORDER BY similarity DESC;

SELECT array_length(bitnet_embed('Where is my package?'), 1) AS dimensions;

-- What is in shared memory, and whether all is well
SELECT name, state, architecture, pg_size_pretty(bytes) AS memory FROM bitnet_models;
SELECT item, status, detail FROM bitnet_check();
