-- Calls of many rows in one plan node.  A result must be what it is without
-- the node, whatever the statement; plans say where there is one.
SELECT bitnet_generate('load the library', 1) IS NOT NULL;
SHOW bitnet.enable_batch_scan;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE docs (id int PRIMARY KEY, kind int, body text, answer text);
INSERT INTO docs (id, kind, body)
SELECT i, i % 3, CASE WHEN i % 7 = 0 THEN NULL WHEN i % 5 = 0 THEN 'the same' ELSE 'row ' || i END
FROM generate_series(1, 40) i;
ANALYZE docs;

-- Is the result of a query the same with the node and without, and how many
-- nodes does its plan have?
CREATE FUNCTION compare(query text, OUT same boolean, OUT nodes int)
LANGUAGE plpgsql AS $$
DECLARE
	line text;
	results text[] := '{}';
	result text;
BEGIN
	nodes := 0;
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF line LIKE '%Custom Scan (BitNet Batch)%' THEN
			nodes := nodes + 1;
		END IF;
	END LOOP;
	FOR i IN 0 .. 1 LOOP
		EXECUTE 'DISCARD PLANS';
		PERFORM set_config('bitnet.enable_batch_scan', CASE i WHEN 0 THEN 'on' ELSE 'off' END, true);
		EXECUTE format('SELECT json_agg(q) FROM (%s OFFSET 0) q', query) INTO result;
		results := results || coalesce(result, 'none');
	END LOOP;
	PERFORM set_config('bitnet.enable_batch_scan', 'on', true);
	same := results[1] = results[2];
END $$;

-- One property of the batch scan in EXPLAIN ANALYZE
CREATE FUNCTION property(query text, name text) RETURNS numeric
LANGUAGE plpgsql AS $$
DECLARE
	plan json;
	result numeric;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) ' || query INTO plan;
	WITH RECURSIVE nodes(node) AS (
		SELECT plan->0->'Plan'
		UNION ALL
		SELECT json_array_elements(node->'Plans') FROM nodes)
	SELECT sum((node->>name)::numeric) INTO result FROM nodes
	WHERE node->>'Custom Plan Provider' = 'BitNet Batch';
	RETURN result;
END $$;

CREATE FUNCTION analyzed(query text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
		RETURN NEXT regexp_replace(line, 'Memory: \d+kB', 'Memory: NkB');
	END LOOP;
END $$;

-- What plans look like
EXPLAIN (COSTS OFF) SELECT id, bitnet_generate(body, 4) FROM docs;
EXPLAIN (COSTS OFF, VERBOSE)
SELECT upper(bitnet_summarize(bitnet_generate(body, 3), id)) || kind AS u, docs AS whole FROM docs;
EXPLAIN (COSTS OFF) SELECT bitnet_classify(d.body, '{a,b}') FROM docs d JOIN samples s USING (id);
EXPLAIN (COSTS OFF) SELECT kind, bitnet_summarize_agg(body) FROM docs, (SELECT 1) s GROUP BY kind;
EXPLAIN (COSTS OFF) UPDATE docs SET answer = bitnet_generate(body, 2);
EXPLAIN (COSTS OFF) SELECT bitnet_embed(body, 4) FROM docs ORDER BY id LIMIT 3;
SET bitnet.enable_batch_scan = off;
EXPLAIN (COSTS OFF) SELECT id, bitnet_generate(body, 4) FROM docs;
RESET bitnet.enable_batch_scan;

-- What has no node: one row, and calls that not every row evaluates
EXPLAIN (COSTS OFF) SELECT bitnet_generate('one', 4);
EXPLAIN (COSTS OFF) SELECT id FROM docs WHERE bitnet_generate(body, 4) <> '';
EXPLAIN (COSTS OFF) SELECT count(bitnet_generate(body, 4)) FROM docs;
EXPLAIN (COSTS OFF) SELECT CASE WHEN id < 3 THEN bitnet_generate(body, 4) END FROM docs;
EXPLAIN (COSTS OFF) SELECT coalesce(answer, bitnet_generate(body, 4)) FROM docs;
EXPLAIN (COSTS OFF) SELECT id < 3 AND bitnet_generate(body, 4) <> '' FROM docs;
EXPLAIN (COSTS OFF) SELECT random(), bitnet_generate(body, 4) FROM docs;
-- But the usual defaults of columns do not matter
CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY, key uuid DEFAULT gen_random_uuid(), other uuid DEFAULT gen_random_uuid(),
	at timestamptz DEFAULT clock_timestamp(), n serial, seen int, body text, answer text);
CREATE FUNCTION note_number() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.seen := currval('numbered_n_seq');
	RETURN NEW;
END $$;
CREATE TRIGGER note BEFORE INSERT ON numbered FOR EACH ROW EXECUTE FUNCTION note_number();
EXPLAIN (COSTS OFF) INSERT INTO numbered (body, answer) SELECT body, bitnet_generate(body, 4) FROM docs WHERE id <= 20;
INSERT INTO numbered (body, answer) SELECT body, bitnet_generate(body, 4) FROM docs WHERE id <= 20;
SELECT count(DISTINCT key), bool_and(key <> other) AS differ, min(id), max(id), min(n), max(n), bool_and(seen = n) AS in_turn,
	bool_and(answer IS NOT DISTINCT FROM bitnet_generate(body, 4)) AS same FROM numbered;
EXPLAIN (COSTS OFF) SELECT nextval('numbered_n_seq'), bitnet_generate(body, 4), nextval('numbered_n_seq') FROM docs;
EXPLAIN (COSTS OFF) SELECT bitnet_generate(nextval('numbered_n_seq')::text, 4) FROM docs;
SELECT nodes FROM compare('SELECT bitnet_generate(body, 4), nextval(''numbered_n_seq'') + (SELECT max(id) FROM samples) FROM docs');
-- Numbers that are taken below, or between conditions that may see them, are taken row by row
SELECT bool_and(n = c), count(g) > 0 AS computed FROM (SELECT n, currval('numbered_n_seq') AS c, g
FROM (SELECT n, bitnet_generate(body, 1) AS g FROM (SELECT nextval('numbered_n_seq') AS n, body FROM docs) a OFFSET 0) b) x;
SELECT bool_and(n = c), count(g) > 0 AS computed FROM (SELECT n, currval('numbered_n_seq') AS c, g
FROM (SELECT n, bitnet_generate(body, 1) AS g FROM (VALUES (nextval('numbered_n_seq'), 'a'), (nextval('numbered_n_seq'), 'b')) a(n, body) OFFSET 0) b) x;
CREATE SEQUENCE few;
CREATE FUNCTION is_free() RETURNS boolean LANGUAGE sql VOLATILE AS $$SELECT NOT is_called OR last_value < 5 FROM few$$;
SELECT count(g) FROM (SELECT nextval('few') AS n, coalesce(bitnet_generate(body, 1), '') AS g FROM docs WHERE is_free() OFFSET 0) s;
SELECT count(*) FROM docs WHERE is_free();
DROP SEQUENCE few;
DROP FUNCTION is_free;
DROP TABLE numbered;
DROP FUNCTION note_number;
EXPLAIN (COSTS OFF) SELECT id, bitnet_count_tokens(body), length(body) FROM docs;
EXPLAIN (COSTS OFF) SELECT unnest(ARRAY[bitnet_generate(body, 4)]) FROM docs;

-- Every function
SELECT * FROM compare('SELECT id, bitnet_logprob(body, ''context ''), bitnet_logprob(body, nullif(kind, 1)::text), bitnet_logprob('''', body) FROM docs');
SELECT * FROM compare('SELECT id, bitnet_generate(body, 6) FROM docs');
SELECT * FROM compare('SELECT id, bitnet_generate(body, 6, 1.0, id, ARRAY[chr(97 + kind)]) FROM docs');
SELECT * FROM compare('SELECT id, bitnet_generate(body, 6, options => ''{"raw": true}'') FROM docs');
SELECT * FROM compare($$SELECT id, bitnet_chat(jsonb_build_array(jsonb_build_object('role', 'user', 'content', coalesce(body, 'none'))), 5) FROM docs$$);
SELECT * FROM compare('SELECT id, bitnet_summarize(body, 5), bitnet_summarize(repeat('' '', id)) FROM docs');
SELECT * FROM compare($$SELECT id, bitnet_classify(body, '{yes,no,maybe}') FROM docs$$);
SELECT * FROM compare($$SELECT id, bitnet_classify(body, ARRAY['yes', 'no', kind::text]) FROM docs$$);
SELECT * FROM compare($$SELECT id, bitnet_classify(nullif(body, 'row 1'), nullif('{yes,no}'::text[], ARRAY[body])) FROM docs$$);
SELECT * FROM compare('SELECT id, bitnet_embed(body, 8), bitnet_embed(body, kind + 1) FROM docs');
SELECT * FROM compare($$SELECT id, bitnet_similarity(body, 'row 9'), bitnet_similarity('row', body), bitnet_similarity(body, ' ') FROM docs$$);
SELECT * FROM compare($$SELECT id, bitnet_summarize(repeat(body || '. ', id * 6), 8) FROM docs WHERE id IN (1, 4, 30, 38)$$);

-- Calls within expressions and within calls
SELECT * FROM compare('SELECT upper(bitnet_generate(body, 4)) || id, kind + 1, docs FROM docs');
SELECT * FROM compare('SELECT bitnet_summarize(bitnet_generate(body, 12), 3), bitnet_generate(body, 12) FROM docs');
SELECT * FROM compare('SELECT ARRAY[body, bitnet_generate(body, 4)], ROW(id, bitnet_generate(body, 4)) FROM docs');
SELECT * FROM compare('SELECT CASE WHEN bitnet_generate(body, 4) < ''m'' THEN 100 / (id - 1) ELSE kind END FROM docs WHERE id > 1');
SELECT * FROM compare('SELECT coalesce(bitnet_generate(body, 4), answer, id::text) FROM docs');
SELECT * FROM compare('SELECT bitnet_generate(body, 4) > ''m'' AND id > 4, bitnet_generate(body, 4) IS NULL FROM docs');
SELECT * FROM compare('SELECT (bitnet_embed(body, 4))[kind + 1], bitnet_embed(body, 4)::float8[] FROM docs');
SELECT * FROM compare('SELECT CASE WHEN id > 3 THEN ''x'' ELSE bitnet_generate(body, 4) END FROM docs WHERE id < 6');

-- Statements of many shapes
SELECT * FROM compare('SELECT id, bitnet_generate(body, 3) FROM docs ORDER BY id DESC LIMIT 5');
SELECT * FROM compare('SELECT id, bitnet_generate(body, 3) AS g FROM docs ORDER BY g, id');
SELECT * FROM compare('SELECT bitnet_generate(body, 3) AS g, count(*) FROM docs GROUP BY g ORDER BY g');
SELECT * FROM compare('SELECT kind, bitnet_generate(string_agg(body, '' '' ORDER BY id), 3) FROM docs GROUP BY kind ORDER BY kind');
SELECT * FROM compare('SELECT kind, bitnet_summarize_agg(body ORDER BY id) FROM docs GROUP BY kind ORDER BY kind');
SELECT * FROM compare('SELECT id % 9 AS k, upper(bitnet_summarize_agg(body)) || count(*), bitnet_summarize_agg(body) FILTER (WHERE id < 5) FROM docs GROUP BY k ORDER BY k');
SELECT * FROM compare('SELECT kind, CASE WHEN kind > 0 THEN bitnet_summarize_agg(body) END, bitnet_summarize_agg(body) FROM docs GROUP BY kind ORDER BY kind');
SELECT * FROM compare('SELECT kind, bitnet_summarize_agg(body) FROM docs GROUP BY kind HAVING bitnet_summarize_agg(body) IS NOT NULL ORDER BY kind');
SELECT * FROM compare('SELECT kind, bitnet_summarize_agg(body) FROM docs WHERE id % 7 = 0 GROUP BY GROUPING SETS ((kind), ()) ORDER BY kind');
SELECT * FROM compare('SELECT bitnet_summarize_agg(body) FROM docs');
SELECT * FROM compare('SELECT DISTINCT bitnet_classify(body, ''{a,b}'') FROM docs ORDER BY 1');
SELECT * FROM compare('SELECT id, bitnet_generate(lag(body) OVER (ORDER BY id), 3) FROM docs');
SELECT * FROM compare('SELECT a.id, bitnet_generate(a.body || b.body, 3) FROM docs a JOIN docs b ON a.id = b.id + 1 ORDER BY a.id');
SELECT * FROM compare('SELECT a.id, g FROM docs a LEFT JOIN LATERAL (SELECT bitnet_generate(b.body, 3) AS g FROM docs b WHERE b.id < a.id ORDER BY id DESC LIMIT 2) s ON true WHERE a.id < 6 ORDER BY a.id, g');
SELECT * FROM compare('SELECT id, (SELECT bitnet_generate(max(s.body), 3) FROM samples s WHERE s.id = docs.id) FROM docs');
SELECT * FROM compare('SELECT bitnet_generate(body, 3), (SELECT count(*) FROM samples s WHERE s.id < docs.id) FROM docs');
SELECT * FROM compare('SELECT bitnet_generate((SELECT s.body FROM samples s WHERE s.id = docs.kind), 3) FROM docs');
SELECT * FROM compare('SELECT bitnet_generate(body || (SELECT count(*) FROM samples), 3) FROM docs');
SELECT * FROM compare('SELECT id FROM docs WHERE EXISTS (SELECT bitnet_generate(body, 1) FROM samples WHERE samples.id = docs.id)');
SELECT * FROM compare('SELECT bitnet_generate(body, 3) FROM docs WHERE id < 4 UNION ALL SELECT bitnet_generate(body, 4) FROM samples WHERE id < 4');
SELECT * FROM compare('SELECT bitnet_generate(body, 3) FROM docs INTERSECT SELECT bitnet_generate(body, 3) FROM docs WHERE id > 5 ORDER BY 1');
SELECT * FROM compare('WITH c AS MATERIALIZED (SELECT id, bitnet_generate(body, 3) AS g FROM docs) SELECT * FROM c a JOIN c b USING (id) ORDER BY id');
SELECT * FROM compare('WITH RECURSIVE r(n, g) AS (SELECT id, body FROM docs WHERE id < 4 UNION ALL SELECT n + 10, bitnet_generate(g, 3) FROM r WHERE n < 30) SELECT * FROM r ORDER BY n, g');
SELECT * FROM compare('SELECT bitnet_generate(f::text, 3) FROM generate_series(1, 5) f');
SELECT * FROM compare('SELECT bitnet_generate(column1, 3) FROM (VALUES (''a''), (''b''), (NULL)) v');
SELECT * FROM compare('SELECT ctid, tableoid::regclass, bitnet_generate(body, 3) FROM docs WHERE id < 9');
SELECT * FROM compare('SELECT bitnet_generate(body, 3) FROM docs WHERE false');
SET enable_hashjoin = off;
SET enable_nestloop = off;
SELECT * FROM compare('SELECT * FROM (SELECT bitnet_classify(body, ''{1,2}'') AS c, id FROM docs OFFSET 0) a JOIN (SELECT bitnet_classify(body, ''{1,2}'') AS c, id FROM docs WHERE id < 9 OFFSET 0) b USING (c) ORDER BY a.id, b.id');
SELECT * FROM compare('SELECT a.id, a.g, b.g FROM (SELECT id, bitnet_generate(body, 3) AS g FROM docs ORDER BY id OFFSET 0) a JOIN (SELECT id, bitnet_generate(body, 3) AS g FROM docs ORDER BY id OFFSET 0) b USING (id)');
RESET enable_hashjoin;
RESET enable_nestloop;
SET enable_seqscan = off;
SELECT * FROM compare('SELECT id, bitnet_generate(id::text, 3) FROM docs WHERE id > 30 ORDER BY id');
RESET enable_seqscan;

-- Partitions, inheritance, views, functions
CREATE TABLE parts (id int, body text) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (20);
CREATE TABLE parts_2 (body text, id int);
ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (20) TO (100);
INSERT INTO parts SELECT id, body FROM docs;
CREATE VIEW answers AS SELECT id, bitnet_generate(body, 3) AS answer FROM parts;
SELECT * FROM compare('SELECT * FROM answers');
SELECT * FROM compare('SELECT answer FROM answers WHERE id BETWEEN 15 AND 25 ORDER BY id');
CREATE FUNCTION answers_to(n int) RETURNS SETOF text LANGUAGE sql STABLE AS
'SELECT bitnet_generate(body, 3) FROM docs WHERE id <= n ORDER BY id';
CREATE FUNCTION loop_answers(n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	result text := '';
BEGIN
	FOR r IN SELECT id, bitnet_generate(body, 3) AS g FROM docs ORDER BY id LOOP
		EXIT WHEN r.id > n;
		result := result || r.id || coalesce(r.g, '-');
	END LOOP;
	RETURN result;
END $$;
SELECT * FROM compare('SELECT answers_to(7)');
SELECT * FROM compare('SELECT loop_answers(12)');

-- Data that is written
CREATE TABLE copy_on AS SELECT id, bitnet_generate(body, 5) AS g FROM docs;
SET bitnet.enable_batch_scan = off;
CREATE TABLE copy_off AS SELECT id, bitnet_generate(body, 5) AS g FROM docs;
RESET bitnet.enable_batch_scan;
SELECT count(*) FROM copy_on JOIN copy_off USING (id) WHERE copy_on.g IS NOT DISTINCT FROM copy_off.g;
INSERT INTO copy_on SELECT id + 100, bitnet_generate(body, 5) FROM docs;
SELECT count(*) FROM copy_on a JOIN copy_off b ON a.id = b.id + 100 WHERE a.g IS NOT DISTINCT FROM b.g;
UPDATE docs SET answer = bitnet_generate(body, 5);
SELECT count(*) FROM docs JOIN copy_off USING (id) WHERE answer IS NOT DISTINCT FROM g;
UPDATE docs SET (answer, kind) = (SELECT upper(answer), kind + 10), body = bitnet_generate(body, 2) WHERE id = 4;
SELECT answer = upper(g), kind, body = bitnet_generate('row 4', 2) FROM docs JOIN copy_off USING (id) WHERE id = 4;
UPDATE docs SET answer = bitnet_generate(s.body, 5) FROM samples s WHERE s.id = docs.id RETURNING docs.id, answer = bitnet_generate(s.body, 5) AS same;
INSERT INTO parts SELECT id + 40, bitnet_generate(body, 2) FROM docs WHERE id < 5 RETURNING tableoid::regclass, id;
INSERT INTO docs (id, body) SELECT id, bitnet_generate(body, 5) FROM samples
ON CONFLICT (id) DO UPDATE SET body = excluded.body;
SELECT count(*) FROM docs JOIN samples USING (id) WHERE docs.body = bitnet_generate(samples.body, 5);
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.answer := upper(NEW.answer);
	UPDATE docs SET kind = -1 WHERE id = NEW.id + 1;
	RETURN NEW;
END $$;
CREATE TRIGGER shout BEFORE UPDATE OF answer ON docs FOR EACH ROW EXECUTE FUNCTION shout();
UPDATE docs SET answer = bitnet_generate('x' || id, 3) WHERE id IN (20, 22, 24);
SELECT id, kind, answer = upper(bitnet_generate('x' || id, 3)) OR id % 2 = 1 AS same
FROM docs WHERE id BETWEEN 20 AND 25 ORDER BY id;
DROP TRIGGER shout ON docs;
MERGE INTO docs USING (SELECT id, bitnet_generate(body, 3) AS g FROM samples WHERE id < 4) s ON docs.id = s.id
WHEN MATCHED THEN UPDATE SET answer = s.g;
SELECT count(*) FROM docs JOIN samples USING (id) WHERE id < 4 AND answer = bitnet_generate(samples.body, 3);

-- Cursors: forward ones have the node
BEGIN;
DECLARE c CURSOR FOR SELECT id, bitnet_generate(body, 3) IS NOT NULL FROM docs ORDER BY id;
FETCH 1 FROM c;
FETCH 4 FROM c;
MOVE 30 FROM c;
FETCH ALL FROM c;
SAVEPOINT s;
FETCH BACKWARD 1 FROM c;
ROLLBACK TO s;
CLOSE c;
DECLARE c SCROLL CURSOR FOR SELECT id, bitnet_generate(body, 3) IS NOT NULL FROM docs ORDER BY id;
FETCH 3 FROM c;
FETCH BACKWARD 2 FROM c;
CLOSE c;
DECLARE c CURSOR WITH HOLD FOR SELECT id, bitnet_generate(body, 3) IS NOT NULL FROM docs ORDER BY id LIMIT 3;
COMMIT;
FETCH ALL FROM c;
CLOSE c;
BEGIN;
DECLARE c CURSOR FOR SELECT id, bitnet_generate(body, 3) FROM docs FOR UPDATE;
MOVE 3 FROM c;
UPDATE docs SET kind = 77 WHERE CURRENT OF c RETURNING id = (SELECT id FROM docs d ORDER BY d.ctid OFFSET 2 LIMIT 1) AS third;
ROLLBACK;
BEGIN;
DECLARE c CURSOR FOR SELECT bitnet_generate(body, 3) FROM docs;
MOVE 3 FROM c;
UPDATE docs SET kind = 77 WHERE CURRENT OF c RETURNING id = (SELECT id FROM docs d ORDER BY d.ctid OFFSET 2 LIMIT 1) AS third;
ROLLBACK;

BEGIN;
DECLARE c CURSOR FOR SELECT bitnet_generate(id::text, 3) FROM docs WHERE id > 20 ORDER BY id;
MOVE 2 FROM c;
DELETE FROM docs WHERE CURRENT OF c RETURNING id;
MOVE 20 FROM c;
SELECT code, message FROM error_of('DELETE FROM docs WHERE CURRENT OF c');
ROLLBACK;

-- With locks below: the row that was locked last is the cursor's
BEGIN;
DECLARE c CURSOR FOR SELECT id, bitnet_generate(body, 3) IS NOT NULL FROM (SELECT * FROM docs WHERE id > 20 ORDER BY id LIMIT 10 FOR UPDATE) s;
FETCH 1 FROM c;
FETCH 2 FROM c;
UPDATE docs SET kind = 77 WHERE CURRENT OF c RETURNING id;
FETCH 3 FROM c;
UPDATE docs SET kind = 77 WHERE CURRENT OF c RETURNING id;
ROLLBACK;
BEGIN;
DECLARE c CURSOR FOR WITH x AS (SELECT * FROM docs WHERE id > 20 ORDER BY id LIMIT 10 FOR UPDATE) SELECT id, bitnet_generate(body, 3) IS NOT NULL FROM x;
MOVE 1 FROM c;
MOVE 2 FROM c;
UPDATE docs SET kind = 77 WHERE CURRENT OF c RETURNING id;
ROLLBACK;
BEGIN;
DO $$
DECLARE
	c CURSOR FOR SELECT id, bitnet_generate(body, 1) AS answer FROM (SELECT * FROM docs WHERE id > 20 ORDER BY id LIMIT 10 FOR UPDATE) s;
BEGIN
	FOR r IN c LOOP
		UPDATE docs SET answer = 'of ' || r.id WHERE CURRENT OF c;
	END LOOP;
END $$;
SELECT count(*) FROM docs WHERE answer = 'of ' || id;
ROLLBACK;

-- Partitions through a subquery
BEGIN;
DECLARE c CURSOR FOR SELECT bitnet_generate(body, 3) FROM (SELECT * FROM parts LIMIT 30) s;
MOVE 2 FROM c;
DELETE FROM parts WHERE CURRENT OF c RETURNING tableoid::regclass;
ROLLBACK;

-- Through the nodes that give the row of the table
BEGIN;
DECLARE c CURSOR FOR SELECT bitnet_generate(body, 3) FROM (SELECT * FROM docs WHERE id > 20 ORDER BY id OFFSET 0) s;
MOVE 2 FROM c;
DELETE FROM docs WHERE CURRENT OF c RETURNING id;
ROLLBACK;
BEGIN;
DECLARE c CURSOR FOR SELECT bitnet_generate(answer, 2) FROM (SELECT id, bitnet_generate(body, 3) AS answer FROM docs WHERE id > 20 ORDER BY id OFFSET 0) s;
MOVE 2 FROM c;
DELETE FROM docs WHERE CURRENT OF c RETURNING id;
ROLLBACK;

-- Prepared statements
PREPARE p(int, text) AS SELECT count(bitnet_generate)
FROM (SELECT bitnet_generate(body, $1, system => $2) FROM docs WHERE id < 20 OFFSET 0) s;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE p(3, NULL);
EXECUTE p(3, NULL);
EXECUTE p(4, 'Be short.');
RESET plan_cache_mode;
PREPARE q(int) AS SELECT id FROM (SELECT id, bitnet_generate(body, 2) FROM docs ORDER BY id LIMIT $1 OFFSET 1) s;
SET plan_cache_mode = force_generic_plan;
EXECUTE q(2);
RESET plan_cache_mode;

-- How far ahead of a LIMIT it reads
CREATE SEQUENCE seen;
CREATE FUNCTION see() RETURNS boolean LANGUAGE sql VOLATILE AS $$SELECT nextval('seen') > 0$$;
CREATE FUNCTION rows_seen() RETURNS bigint LANGUAGE sql AS
$$SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM seen$$;
SELECT count(*) FROM (SELECT bitnet_generate(body, 1) FROM docs WHERE see() LIMIT 5) s;
SELECT rows_seen(), setval('seen', 1, false);
SELECT count(*) FROM (SELECT bitnet_generate(body, 1) FROM docs WHERE see() LIMIT 3 OFFSET 2) s;
SELECT rows_seen(), setval('seen', 1, false);
PREPARE l(int) AS SELECT bitnet_generate(body, 1) IS NULL AS n FROM docs WHERE see() LIMIT $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE l(4);
RESET plan_cache_mode;
SELECT rows_seen(), setval('seen', 1, false);
SELECT count(*) FROM docs d WHERE id < 3 AND EXISTS (SELECT bitnet_generate(body, 1) FROM docs WHERE see() OFFSET 0);
SELECT rows_seen() <= 2, setval('seen', 1, false);

-- Not ahead of what a volatile function in WHERE sees of the rows before
CREATE TABLE asked (q text);
INSERT INTO asked VALUES ('a'), ('b'), ('a'), ('b'), ('c');
CREATE TABLE answered (q text, a text);
CREATE FUNCTION is_new(t text) RETURNS boolean LANGUAGE plpgsql AS
$$BEGIN RETURN NOT EXISTS (SELECT FROM answered WHERE q = t); END$$;
EXPLAIN (COSTS OFF) INSERT INTO answered SELECT q, bitnet_generate(q, 1) FROM asked WHERE is_new(q);
INSERT INTO answered SELECT q, bitnet_generate(q, 1) FROM asked WHERE is_new(q);
INSERT INTO answered SELECT q, bitnet_generate(q, 1)
FROM (SELECT q || '2' AS q FROM asked OFFSET 0) s WHERE q = ANY (ARRAY(SELECT 'a2')) AND (SELECT is_new(s.q));
INSERT INTO answered WITH c AS MATERIALIZED (SELECT q || '3' AS q FROM asked WHERE is_new(q || '3'))
SELECT q, bitnet_generate(q, 1) FROM c;
SELECT q, count(*) FROM answered GROUP BY q ORDER BY q;
UPDATE answered SET q = 'x', a = bitnet_generate(q, 1) WHERE is_new('x');
SELECT count(*) FROM answered WHERE q = 'x';
-- a sort has called it for all rows before the first one comes, and nobody writes what a SELECT reads
EXPLAIN (COSTS OFF) INSERT INTO answered
SELECT q, bitnet_generate(q, 1) FROM (SELECT q FROM asked WHERE is_new(q) ORDER BY q OFFSET 0) s;
EXPLAIN (COSTS OFF) SELECT q, bitnet_generate(q, 1) FROM asked WHERE is_new(q);
-- nor takes it more locks than rows are wanted
PREPARE take(int) AS SELECT bitnet_generate(q, 1) IS NULL AS n FROM asked WHERE pg_try_advisory_xact_lock(hashtext(q)) LIMIT $1;
PREPARE take_rows(int) AS SELECT bitnet_generate(q, 1) IS NULL AS n FROM (SELECT q FROM asked FOR UPDATE) s LIMIT $1;
SET plan_cache_mode = force_generic_plan;
BEGIN;
DECLARE c CURSOR FOR SELECT bitnet_generate(q, 1) IS NULL AS n FROM asked WHERE pg_try_advisory_xact_lock(hashtext(q));
FETCH 2 FROM c;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();
COMMIT;
EXPLAIN (COSTS OFF) EXECUTE take(2);
EXPLAIN (COSTS OFF) EXECUTE take_rows(2);
SET plan_cache_mode = force_custom_plan;
EXPLAIN (COSTS OFF) EXECUTE take(2);
EXPLAIN (COSTS OFF) EXECUTE take_rows(2);
RESET plan_cache_mode;
DEALLOCATE take;
DEALLOCATE take_rows;
-- nor beyond the rows that a loop has got so far, which writes between them
TRUNCATE asked, answered;
INSERT INTO asked VALUES ('x'), ('a'), ('a');
DO $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT q, bitnet_generate(q, 1) AS a FROM asked WHERE is_new(q) LOOP
		INSERT INTO answered VALUES (r.q, r.a);
	END LOOP;
END $$;
SELECT q, count(*) FROM answered GROUP BY q ORDER BY q;
-- a LIMIT that nobody may reach
TRUNCATE answered;
WITH c AS (SELECT q, bitnet_generate(q, 1) AS a FROM asked WHERE is_new(q) LIMIT 100)
INSERT INTO answered SELECT q, a FROM c;
SELECT q, count(*) FROM answered GROUP BY q ORDER BY q;
TRUNCATE answered;
WITH c AS (SELECT q, bitnet_generate(q, 1) AS a FROM (SELECT q FROM asked WHERE is_new(q) LIMIT 100) s)
INSERT INTO answered SELECT q, a FROM c;
SELECT q, count(*) FROM answered GROUP BY q ORDER BY q;
-- what is run again for each row
TRUNCATE answered;
INSERT INTO answered SELECT q, bitnet_generate(q, 1) FROM asked a
WHERE (SELECT count(*) FROM asked b WHERE b.q = a.q AND is_new(b.q)) > 0;
SELECT q, count(*) FROM answered GROUP BY q ORDER BY q;
TRUNCATE answered;
INSERT INTO answered SELECT s.q, bitnet_generate(s.q, 1) FROM asked a,
	LATERAL (SELECT b.q FROM asked b WHERE b.q = a.q AND is_new(b.q) ORDER BY length(b.q) LIMIT 1) s;
SELECT q, count(*) FROM answered GROUP BY q ORDER BY q;
-- functions in FROM
TRUNCATE answered;
CREATE FUNCTION n_done(text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN (SELECT count(*) FROM answered); END$$;
INSERT INTO answered SELECT n, bitnet_generate(n, 1) FROM asked, LATERAL n_done(q) AS n;
SELECT q, count(*) FROM answered GROUP BY q ORDER BY q;
-- a function that writes
TRUNCATE answered;
CREATE FUNCTION save(q text, a text) RETURNS int LANGUAGE sql VOLATILE AS $$INSERT INTO answered VALUES (q, a) RETURNING 1$$;
SELECT save(q, a) FROM (SELECT q, bitnet_generate(q, 1) AS a FROM asked WHERE is_new(q) OFFSET 0) s;
SELECT q, count(*) FROM answered GROUP BY q ORDER BY q;
SELECT sum(save(q, a)) FROM (SELECT q || '2' AS q, bitnet_generate(q, 1) AS a FROM asked WHERE is_new(q || '2') OFFSET 0) s;
TRUNCATE answered;
SELECT count(*) FROM (SELECT q, bitnet_generate(q, 1) AS a FROM asked WHERE is_new(q) OFFSET 0) s, LATERAL save(s.q, s.a);
SELECT q, count(*) FROM answered GROUP BY q ORDER BY q;
TRUNCATE answered;
SELECT (SELECT save(s.q, s.a)) FROM (SELECT q, bitnet_generate(q, 1) AS a FROM asked WHERE is_new(q) OFFSET 0) s;
SELECT q, count(*) FROM answered GROUP BY q ORDER BY q;
-- and takes all rows together where nothing looks at what it writes, or all are read before
EXPLAIN (COSTS OFF) SELECT save(q, a) FROM (SELECT q, bitnet_generate(q, 1) AS a FROM asked OFFSET 0) s;
EXPLAIN (COSTS OFF) INSERT INTO answered SELECT a, count(*) FROM (SELECT bitnet_generate(q, 1) AS a FROM asked WHERE is_new(q) OFFSET 0) s GROUP BY a;
EXPLAIN (COSTS OFF) INSERT INTO answered SELECT q, bitnet_generate(q, 1) FROM asked WHERE random() < 0.5;
-- What a query names twice is looked at once: a statement as long as this is planned at once
DO $$
DECLARE
	query text := 'WITH c0 AS MATERIALIZED (SELECT q FROM asked LIMIT 1)';
BEGIN
	FOR i IN 1 .. 40 LOOP
		query := query || format(', c%s AS MATERIALIZED (SELECT a.q FROM c%s a, c%2$s b)', i, i - 1);
	END LOOP;
	EXECUTE 'EXPLAIN ' || query || ' SELECT bitnet_generate(q, 1) FROM c40';
END $$;
-- A hash join without anything to look up ends with its first row
SET enable_nestloop = off;
SET enable_mergejoin = off;
CREATE TABLE many AS SELECT i AS id FROM generate_series(1, 5000) i;
CREATE TABLE flagged (id int);
ANALYZE many;
EXPLAIN (COSTS OFF) SELECT s.g FROM (SELECT id, bitnet_generate((1000 / (id - 5))::text, 1) AS g FROM many OFFSET 0) s
JOIN flagged f USING (id);
SELECT s.g FROM (SELECT id, bitnet_generate((1000 / (id - 5))::text, 1) AS g FROM many OFFSET 0) s
JOIN flagged f USING (id);
RESET enable_nestloop;
RESET enable_mergejoin;
DROP TABLE asked, answered, many, flagged;
DROP FUNCTION is_new, n_done, save;

-- A function that wants one row
DO $$
DECLARE
	answer text;
	n int := 0;
BEGIN
	SELECT bitnet_generate(body, 1) INTO answer FROM docs WHERE see();
	RAISE NOTICE 'INTO: % row', rows_seen();
	FOR answer IN SELECT bitnet_generate(body, 1) FROM docs WHERE see() LOOP
		n := n + 1;
	END LOOP;
	RAISE NOTICE 'FOR: % rows', n;
	PERFORM setval('seen', 1, false);
	SELECT count(a) INTO n FROM (SELECT bitnet_generate(body, 1) AS a FROM docs WHERE see() LIMIT 20) s;
	RAISE NOTICE 'of LIMIT: % rows', rows_seen();
END $$;
SELECT setval('seen', 1, false);

-- A sort keeps no more rows than are wanted
SELECT plan FROM analyzed('SELECT bitnet_generate(body, 1) FROM docs ORDER BY md5(body), id LIMIT 3') plan WHERE plan ~ 'Sort Method';

-- What it says of itself
SELECT property('SELECT bitnet_generate(body, 4) FROM docs', 'Batches') AS batches,
	property('SELECT bitnet_generate(body, 4) FROM docs', 'Batch Rows') AS rows,
	property('SELECT bitnet_generate(body, 4) FROM docs', 'Sequences per Step') > 2 AS together,
	property('SELECT bitnet_generate(''fixed'', 4) FROM docs', 'Sequences per Step') AS once,
	property('SELECT bitnet_generate(body, 4) FROM docs', 'Generated Tokens') <= 4 * 40 AS tokens;

-- Labels are scored behind a text that is computed once: with more of them
-- hardly more tokens are, and with more rows the instruction is not
CREATE FUNCTION computed(query text) RETURNS numeric LANGUAGE sql AS
$$SELECT property(query, 'Prompt Tokens') - property(query, 'Cached Tokens')$$;
CREATE TABLE texts AS SELECT i, repeat('word' || i || ' ', 30) AS body FROM generate_series(1, 4) i;
SELECT computed($$SELECT bitnet_classify(body, '{a,b,c,d}') FROM texts$$) -
	computed($$SELECT bitnet_classify(body, '{a,b}') FROM texts$$) <
	(SELECT sum(bitnet_count_tokens(body)) FROM texts) / 2 AS texts_once;
SELECT computed($$SELECT bitnet_classify(body, '{a,b}', repeat('Long instruction. ', 20)) FROM texts$$) -
	computed($$SELECT bitnet_classify(body, '{a,b}', 'No instruction.') FROM texts$$) <
	2 * bitnet_count_tokens(repeat('Long instruction. ', 20)) AS instruction_once;

-- Errors are those of a row
SELECT code, message FROM error_of('SELECT bitnet_generate(body, 0) FROM docs');
SELECT code, message FROM error_of('SELECT bitnet_generate(body, kind) FROM docs WHERE kind IN (0, 1)');
SELECT code, message FROM error_of('SELECT bitnet_generate(NULL, 0) FROM docs');
SELECT code, message FROM error_of('SELECT bitnet_generate(body, model => ''nope'') FROM docs');
SELECT code, message FROM error_of($$SELECT bitnet_classify(body, '{a}') FROM docs$$);
SELECT code, message FROM error_of('SELECT bitnet_embed(repeat(body, id * 1000)) FROM docs');
SELECT code, message FROM error_of('SELECT bitnet_generate((1 / (id - 5))::text) FROM docs');
BEGIN;
SELECT 1 / 0;
SELECT bitnet_generate(body, 2) FROM docs;
ROLLBACK;
SELECT count(bitnet_generate) FROM (SELECT bitnet_generate(body, 2) FROM docs OFFSET 0) s;

-- Nodes that are rarer, below a batch scan
CREATE FUNCTION plan_has(query text, node text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF strpos(line, node) > 0 THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END $$;
BEGIN;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_material = off;
SELECT node, plan_has(query, node), same, nodes > 0 AS batch
FROM (VALUES
	('BitmapOr', 'SELECT id, bitnet_generate(body, 2) FROM docs WHERE id < 4 OR id > 38'),
	('Memoize', 'SELECT d.id, bitnet_generate(e.body, 2) FROM docs d JOIN docs e ON e.id = d.kind')) v (node, query),
	compare(query);
ROLLBACK;

-- Who may not call a function may not call it for many rows
BEGIN;
CREATE ROLE regress_bitnet_nobody;
GRANT SELECT ON docs TO regress_bitnet_nobody;
REVOKE EXECUTE ON FUNCTION bitnet_summarize FROM PUBLIC;
SET LOCAL ROLE regress_bitnet_nobody;
SELECT bitnet_summarize(body) FROM docs;
ROLLBACK;

-- A STRICT one is not called where an argument is NULL
BEGIN;
CREATE FUNCTION strict_answer(text, int) RETURNS text LANGUAGE c STABLE STRICT AS '$libdir/bitnet', 'bitnet_generate';
SELECT same, nodes FROM compare('SELECT strict_answer(body, nullif(id % 3, 1) + 1) FROM docs');
ROLLBACK;

-- A function that is changed is no longer called directly
EXPLAIN (COSTS OFF) SELECT bitnet_summarize(body) FROM docs;
ALTER FUNCTION bitnet_summarize SET work_mem = '1MB';
EXPLAIN (COSTS OFF) SELECT bitnet_summarize(body) FROM docs;
ALTER FUNCTION bitnet_summarize RESET ALL;
EXPLAIN (COSTS OFF) SELECT bitnet_summarize(body) FROM docs;

-- Nor in a plan that is kept, which names it only in an aggregate's place
PREPARE summaries AS SELECT kind, bitnet_summarize_agg(body) FROM docs GROUP BY kind;
EXPLAIN (COSTS OFF) EXECUTE summaries;
ALTER FUNCTION bitnet_summarize SET work_mem = '1MB';
EXPLAIN (COSTS OFF) EXECUTE summaries;
ALTER FUNCTION bitnet_summarize RESET ALL;
BEGIN;
CREATE ROLE regress_bitnet_nobody;
GRANT SELECT ON docs TO regress_bitnet_nobody;
REVOKE EXECUTE ON FUNCTION bitnet_summarize FROM PUBLIC;
EXPLAIN (COSTS OFF) EXECUTE summaries;
SET LOCAL ROLE regress_bitnet_nobody;
EXPLAIN (COSTS OFF) EXECUTE summaries;
ROLLBACK;
DEALLOCATE summaries;

-- Window functions end early where their result is compared
SELECT same FROM compare('SELECT * FROM (SELECT bitnet_similarity(body, ''x''), kind, row_number() OVER (ORDER BY id) AS n FROM docs) s WHERE n <= 3');
SELECT same FROM compare('SELECT * FROM (SELECT id, bitnet_similarity(body, ''x''), bitnet_generate(body, 2), rank() OVER (ORDER BY id) AS n FROM docs) s WHERE n < 4 AND n <> 2');
-- so what lies below them gives few rows at first
SELECT property('SELECT * FROM (SELECT row_number() OVER () AS n, x FROM (SELECT bitnet_similarity(body, ''x'') AS x FROM docs OFFSET 0) d) s WHERE n <= 3', 'Batch Rows') BETWEEN 4 AND 7 AS few;

-- Row by row: there is no node
SELECT query, plan_has(query, 'Custom Scan') FROM unnest(ARRAY[
	$$INSERT INTO docs (id, body) VALUES (901, bitnet_generate('a', 2)), (902, bitnet_generate('b', 2))$$,
	$$INSERT INTO docs (id, body) SELECT 903, 'c' RETURNING bitnet_generate(body, 2)$$,
	$$INSERT INTO docs (id, body) SELECT 1, 'd' ON CONFLICT (id) DO UPDATE SET body = bitnet_generate(excluded.body, 2)$$,
	$$MERGE INTO docs USING samples s ON docs.id = s.id WHEN MATCHED THEN UPDATE SET answer = bitnet_generate(s.body, 2)$$,
	$$DECLARE c SCROLL CURSOR FOR SELECT bitnet_generate(body, 2) FROM docs$$,
	$$SELECT generate_series(1, 2), bitnet_generate(body, 2) FROM docs$$,
	$$SELECT id FROM docs WHERE bitnet_generate(body, 2) = ''$$]) query;
-- but what such a statement reads has one
SELECT plan_has('INSERT INTO docs (id, body) SELECT 903, x FROM (SELECT bitnet_generate(body, 2) AS x FROM docs OFFSET 0) s RETURNING id', 'Custom Scan');

-- More columns than a row may have
SELECT n, plan_has(query, 'Custom Scan') FROM (
	SELECT n, format('SELECT cardinality(ARRAY[%s]) FROM docs', string_agg(format('bitnet_similarity(body, %L)', i), ',')) AS query
	FROM (VALUES (2), (1663), (1664), (33000)) v (n), generate_series(1, n) i GROUP BY n) q ORDER BY n;

DROP TABLE docs, parts, copy_on, copy_off, texts CASCADE;
DROP FUNCTION answers_to, loop_answers, shout, see, rows_seen, compare, plan_has, property, computed, analyzed;
DROP SEQUENCE seen;
