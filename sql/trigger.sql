-- bitnet_trigger

CREATE TYPE kind AS ENUM ('bug', 'question', 'praise');
CREATE TABLE ticket (id int PRIMARY KEY, body text, category text, kind kind,
	short varchar(2000), vector real[], answer text, n int);
CREATE TRIGGER category BEFORE INSERT OR UPDATE ON ticket FOR EACH ROW
	EXECUTE FUNCTION bitnet_trigger('category', 'bitnet_classify', 'body', '{"labels": ["bug", "question", "praise"]}');
CREATE TRIGGER kind BEFORE INSERT OR UPDATE ON ticket FOR EACH ROW
	EXECUTE FUNCTION bitnet_trigger('kind', 'bitnet_classify', 'body', '{"labels": ["bug", "question", "praise"]}');
CREATE TRIGGER short BEFORE INSERT OR UPDATE ON ticket FOR EACH ROW
	EXECUTE FUNCTION bitnet_trigger('short', 'bitnet_summarize', 'body', '{"max_words": 5, "model": "default"}');
CREATE TRIGGER vector BEFORE INSERT OR UPDATE ON ticket FOR EACH ROW
	EXECUTE FUNCTION bitnet_trigger('vector', 'bitnet_embed', 'body', '{"dimensions": 8}');
CREATE TRIGGER answer BEFORE INSERT OR UPDATE ON ticket FOR EACH ROW
	EXECUTE FUNCTION bitnet_trigger('answer', 'bitnet_generate', 'body',
		'{"max_tokens": 6, "system": "Be brief.", "temperature": 1, "seed": 4, "stop": ["zzz"], "top_k": 9}');

CREATE VIEW wrong AS SELECT id FROM ticket WHERE
	category IS DISTINCT FROM bitnet_classify(body, '{bug,question,praise}') OR
	kind::text IS DISTINCT FROM category OR
	short IS DISTINCT FROM bitnet_summarize(body, 5) OR
	vector IS DISTINCT FROM bitnet_embed(body, 8) OR
	answer IS DISTINCT FROM bitnet_generate(body, 6, 1, 4, '{zzz}', 'Be brief.', options => '{"top_k": 9}');

-- The columns hold what the functions say
INSERT INTO ticket (id, body) SELECT id, body FROM samples WHERE id <= 4;
INSERT INTO ticket (id, body) VALUES (5, NULL), (6, ' ');
SELECT count(*) AS tickets FROM ticket;
SELECT * FROM wrong;
SELECT id, category IS NULL AS category, short, vector IS NULL AS vector, answer IS NULL AS answer
FROM ticket WHERE id IN (5, 6) ORDER BY id;

-- An update of the text does it again, other updates do not
UPDATE ticket SET body = 'Something else' WHERE id = 1;
UPDATE ticket SET body = NULL WHERE id = 2;
SELECT * FROM wrong;
SELECT category, kind, short, vector, answer FROM ticket WHERE id = 2;
UPDATE ticket SET category = 'mine', n = 1, body = body WHERE id = 3;
SELECT category, n FROM ticket WHERE id = 3;

-- COPY fires it too
COPY ticket (id, body) FROM stdin;
10	Copied text
\.
SELECT category IS NOT NULL AS filled FROM ticket WHERE id = 10;
DROP VIEW wrong;
DROP TABLE ticket;

-- A vector is cast as an INSERT would do it, below a domain too
CREATE FUNCTION to_point(real[]) RETURNS point LANGUAGE sql AS 'SELECT point($1[1], $1[2])';
CREATE CAST (real[] AS point) WITH FUNCTION to_point(real[]) AS ASSIGNMENT;
CREATE DOMAIN place AS point;
CREATE TABLE p (body text, at point, place place);
CREATE TRIGGER at BEFORE INSERT ON p FOR EACH ROW
	EXECUTE FUNCTION bitnet_trigger('at', 'bitnet_embed', 'body');
INSERT INTO p (body) VALUES ('some text');
CREATE TRIGGER place BEFORE INSERT ON p FOR EACH ROW
	EXECUTE FUNCTION bitnet_trigger('place', 'bitnet_embed', 'body');
INSERT INTO p (body) VALUES ('some text');
SELECT at ~= to_point(bitnet_embed(body)) AS cast_as_wanted,
	place ~= at AS domain_likewise FROM p ORDER BY place IS NULL;
DROP TRIGGER at ON p;
DROP TRIGGER place ON p;
ALTER TABLE p ADD double float8[], ADD short varchar(5);
CREATE TRIGGER double BEFORE INSERT ON p FOR EACH ROW
	EXECUTE FUNCTION bitnet_trigger('double', 'bitnet_embed', 'body');
INSERT INTO p (body) VALUES ('another text') RETURNING double = bitnet_embed(body)::float8[] AS each_element;
CREATE FUNCTION to_varchar(real[]) RETURNS varchar LANGUAGE sql AS $$ SELECT 'longer than that'::varchar $$;
CREATE CAST (real[] AS varchar) WITH FUNCTION to_varchar(real[]) AS ASSIGNMENT;
CREATE TRIGGER short BEFORE INSERT ON p FOR EACH ROW
	EXECUTE FUNCTION bitnet_trigger('short', 'bitnet_embed', 'body');
INSERT INTO p (body) VALUES ('some text');
INSERT INTO p (short) VALUES (bitnet_embed('some text'));
DROP CAST (real[] AS varchar);
DROP FUNCTION to_varchar;
DROP TABLE p;
DROP CAST (real[] AS point);

-- What is wrong is said when the row comes
CREATE TABLE t (id int, body text, target text, enum kind, short varchar(1), name name, json jsonb);
CREATE FUNCTION try_trigger(arguments text, fires text DEFAULT 'BEFORE INSERT',
	per text DEFAULT 'ROW', OUT code text, OUT message text, OUT detail text, OUT hint text)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TRIGGER try %s ON t FOR EACH %s EXECUTE FUNCTION bitnet_trigger(%s)',
		fires, per, arguments);
	SELECT * FROM error_of('INSERT INTO t (id, body) VALUES (1, ''some text'')')
		INTO code, message, detail, hint;
	DROP TRIGGER try ON t;
END $$;
-- One label or the other, as the model likes
SELECT code, replace(message, '"y"', '"x"') AS message, detail, hint FROM unnest(ARRAY[
	$$'target', 'bitnet_summarize', 'body'$$,
	$$'target', 'bitnet_summarize'$$,
	$$'nothing', 'bitnet_summarize', 'body'$$,
	$$'target', 'bitnet_summarize', 'nothing'$$,
	$$'target', 'bitnet_summarize', 'ctid'$$,
	$$'target', 'pg_read_file', 'body'$$,
	$$'id', 'bitnet_summarize', 'body'$$,
	$$'json', 'bitnet_summarize', 'body'$$,
	$$'target', 'bitnet_summarize', 'id'$$,
	$$'target', 'bitnet_summarize', 'name'$$,
	$$'json', 'bitnet_embed', 'body'$$,
	$$'target', 'bitnet_classify', 'body'$$,
	$$'target', 'bitnet_classify', 'body', '{"labels": ["a"]}'$$,
	$$'target', 'bitnet_classify', 'body', '{"labels": ["a", 1]}'$$,
	$$'target', 'bitnet_classify', 'body', '{"labels": "a"}'$$,
	$$'target', 'bitnet_classify', 'body', '{"max_words": 3}'$$,
	$$'target', 'bitnet_summarize', 'body', '[]'$$,
	$$'target', 'bitnet_summarize', 'body', 'not json'$$,
	$$'enum', 'bitnet_classify', 'body', '{"labels": ["x", "y"]}'$$,
	$$'short', 'bitnet_classify', 'body', '{"labels": ["xx", "yy"]}'$$]) a, try_trigger(a) e;
SELECT code, message FROM try_trigger($$'target', 'bitnet_summarize', 'body', '{"model": "no_such_model"}'$$);
SELECT code, message FROM try_trigger($$'target', 'bitnet_summarize', 'body'$$, 'AFTER INSERT');
SELECT code, message FROM try_trigger($$'target', 'bitnet_summarize', 'body'$$, 'BEFORE INSERT', 'STATEMENT');
SELECT bitnet_trigger();

-- The constraints of a domain hold
CREATE DOMAIN pair AS real[] CHECK (array_length(VALUE, 1) = 2);
CREATE DOMAIN filled AS text NOT NULL;
CREATE TABLE d (body text, vector pair, summary filled DEFAULT '');
CREATE TRIGGER v BEFORE INSERT ON d FOR EACH ROW
	EXECUTE FUNCTION bitnet_trigger('vector', 'bitnet_embed', 'body', '{"dimensions": 2}');
INSERT INTO d (body) VALUES ('text') RETURNING array_length(vector, 1);
DROP TRIGGER v ON d;
CREATE TRIGGER v BEFORE INSERT ON d FOR EACH ROW
	EXECUTE FUNCTION bitnet_trigger('vector', 'bitnet_embed', 'body', '{"dimensions": 3}');
INSERT INTO d (body) VALUES ('text');
DROP TRIGGER v ON d;
CREATE TRIGGER s BEFORE INSERT ON d FOR EACH ROW
	EXECUTE FUNCTION bitnet_trigger('summary', 'bitnet_summarize', 'body');
INSERT INTO d (body) VALUES (NULL);
DROP TRIGGER s ON d;

-- A cast may return NULL
CREATE TYPE wrapped AS (v real[]);
CREATE FUNCTION wrap(real[]) RETURNS wrapped LANGUAGE sql AS 'SELECT NULL::wrapped';
CREATE CAST (real[] AS wrapped) WITH FUNCTION wrap(real[]) AS ASSIGNMENT;
ALTER TABLE d ADD target wrapped;
CREATE TRIGGER w BEFORE INSERT ON d FOR EACH ROW
	EXECUTE FUNCTION bitnet_trigger('target', 'bitnet_embed', 'body');
INSERT INTO d (body) VALUES ('text') RETURNING target IS NULL AS target_is_null;
DROP TABLE d;
DROP TYPE wrapped CASCADE;
DROP DOMAIN pair, filled;
SELECT count(*) FROM t;
-- The blanks behind a character(n) are none of the text, as in a cast
CREATE TABLE padded (body char(40), vector real[]);
CREATE TRIGGER v BEFORE INSERT ON padded FOR EACH ROW
	EXECUTE FUNCTION bitnet_trigger('vector', 'bitnet_embed', 'body');
INSERT INTO padded VALUES ('text') RETURNING vector = bitnet_embed(body) AS same;
DROP TABLE padded;
-- A generated column is computed afterwards
CREATE TABLE generated (body text, twice text GENERATED ALWAYS AS (body || body) STORED, label text);
CREATE TRIGGER label BEFORE INSERT ON generated FOR EACH ROW
	EXECUTE FUNCTION bitnet_trigger('label', 'bitnet_classify', 'twice', '{"labels": ["a", "b"]}');
INSERT INTO generated VALUES ('x');
DROP TABLE generated;

DROP TABLE t;
DROP FUNCTION try_trigger, to_point;
DROP DOMAIN place;
DROP TYPE kind;
