-- Objects of every kind that can use the extension, in the database "shop"; for
-- dumps and upgrades.  answers.sql shows what they hold and say.

CREATE ROLE clerk LOGIN;
CREATE ROLE guest;
CREATE DATABASE shop;
ALTER DATABASE shop SET bitnet.model = 'small';
ALTER DATABASE shop SET bitnet.threads = 1;
ALTER ROLE clerk SET bitnet.max_tokens = 7;
ALTER ROLE clerk IN DATABASE shop SET bitnet.enable_batch_scan = off;
GRANT SET ON PARAMETER bitnet.kernel TO clerk;
\connect shop

CREATE SCHEMA ai;
CREATE EXTENSION bitnet SCHEMA ai;
GRANT USAGE ON SCHEMA ai TO clerk, guest;
REVOKE EXECUTE ON FUNCTION ai.bitnet_chat FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ai.bitnet_chat, ai.bitnet_load TO clerk;
REVOKE SELECT ON ai.bitnet_engines FROM PUBLIC;

-- Bodies in SQL of functions keep what they call as views do.  Whoever says that
-- an answer never changes may have it in indexes and generated columns.
CREATE FUNCTION sort_of(body text) RETURNS text LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
	SELECT ai.bitnet_classify(body, '{bug,question}', model => 'small');
END;
CREATE FUNCTION administer() RETURNS bigint LANGUAGE sql
BEGIN ATOMIC
	SELECT ai.bitnet_load('small', true);
	SELECT ai.bitnet_stats_reset();
	SELECT ai.bitnet_unload('small');
END;

CREATE TYPE label AS ENUM ('a', 'b');
CREATE DOMAIN short AS text CHECK (ai.bitnet_count_tokens(VALUE) < 60);
CREATE TABLE ticket (
	id int PRIMARY KEY,
	body short,
	label label,
	vector real[],
	greeting text DEFAULT ai.bitnet_generate('Say something.', 4),
	sort text GENERATED ALWAYS AS (sort_of(body)) STORED,
	CHECK (ai.bitnet_truncate(body, 60) = body));
CREATE INDEX ticket_sort_of ON ticket (sort_of(body));
CREATE TRIGGER label BEFORE INSERT OR UPDATE OF body ON ticket FOR EACH ROW
	EXECUTE FUNCTION ai.bitnet_trigger('label', 'bitnet_classify', 'body', '{"labels": ["a", "b"], "model": "small"}');
CREATE TRIGGER vector BEFORE INSERT OR UPDATE OF body ON ticket FOR EACH ROW
	EXECUTE FUNCTION ai.bitnet_trigger('vector', 'bitnet_embed', 'body', '{"dimensions": 4}');
GRANT SELECT, INSERT ON ticket TO clerk;
CREATE POLICY questions ON ticket TO clerk USING (ai.bitnet_classify(body, '{x,y}') IS NOT NULL);
ALTER TABLE ticket ENABLE ROW LEVEL SECURITY;
INSERT INTO ticket (id, body) SELECT i, 'text number ' || i || repeat(' again', i % 3) FROM generate_series(1, 12) i;
INSERT INTO ticket (id) VALUES (13);

-- An answer that no trigger would give now
ALTER TABLE ticket DISABLE TRIGGER label;
UPDATE ticket SET body = 'text number 5, changed', label = 'b' WHERE id = 5;
ALTER TABLE ticket ENABLE ALWAYS TRIGGER label;

CREATE VIEW answers AS
SELECT id, ai.bitnet_generate(body, 4) AS generate, ai.bitnet_generate(ARRAY[body, 'x'], 3) AS several,
	ai.bitnet_chat(jsonb_build_array(jsonb_build_object('role', 'user', 'content', coalesce(body, 'nothing'))), 4) AS chat,
	ai.bitnet_summarize(body, 3) AS summarize, ai.bitnet_classify(body, '{x,y,z}') AS classify,
	ai.bitnet_embed(body, 4) AS embed, ai.bitnet_similarity(body, 'number') AS similarity,
	ai.bitnet_logprob(body) AS logprob, ai.bitnet_detokenize(ai.bitnet_tokenize(body)) AS tokens
FROM ticket;
CREATE VIEW sets AS
SELECT id, label, probability, token_id, token, logprob, embedding
FROM ticket, ai.bitnet_classify_scores(body, '{x,y}') AS scores(name, probability),
	ai.bitnet_next_tokens(body, 2), ai.bitnet_embed(ARRAY[body::text], 3);
CREATE VIEW groups AS
SELECT sort, ai.bitnet_summarize_agg(body ORDER BY id) AS summary, ai.bitnet_summarize_collect(body ORDER BY id) AS texts
FROM ticket GROUP BY sort;
CREATE MATERIALIZED VIEW digest AS
SELECT label, ai.bitnet_summarize_agg(body ORDER BY id) AS summary FROM ticket GROUP BY label;
CREATE VIEW server AS
SELECT ai.bitnet_version(), m.name, s.calls, a.pid, e.steps, c.item
FROM ai.bitnet_models m, ai.bitnet_stats s, ai.bitnet_activity a, ai.bitnet_engines e, ai.bitnet_check() c;
