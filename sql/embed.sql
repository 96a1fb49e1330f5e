-- bitnet_embed and bitnet_similarity

CREATE FUNCTION dot(a real[], b real[]) RETURNS float8 LANGUAGE sql AS
'SELECT sum(x::float8 * y) FROM unnest(a, b) AS u(x, y)';

-- NULL and blank input
SELECT bitnet_embed(NULL::text) IS NULL AS input, bitnet_embed('') IS NULL AS empty,
	bitnet_embed(E' \n') IS NULL AS blank,
	bitnet_similarity(NULL, 'a') IS NULL AS a, bitnet_similarity('a', NULL) IS NULL AS b,
	bitnet_similarity('a', ' ') IS NULL AS blank_b;
SELECT count(*) FROM bitnet_embed(NULL::text[]);
SELECT count(*) FROM bitnet_embed('{}'::text[]);

-- Unit vectors, all of one length
SELECT count(DISTINCT array_length(bitnet_embed(body), 1)) AS lengths,
	bool_and(abs(dot(bitnet_embed(body), bitnet_embed(body)) - 1) < 1e-5) AS unit
FROM samples;

-- Together as alone, in order, NULL where there is nothing
SELECT e.ord, e.embedding = bitnet_embed(body) AS same
FROM (SELECT array_agg(body ORDER BY id) AS bodies FROM samples) a,
	bitnet_embed(bodies) e JOIN samples ON id = e.ord ORDER BY e.ord;
SELECT ord, embedding IS NULL AS empty FROM bitnet_embed(ARRAY['a', NULL, '', 'b']);
-- More than are computed at once
SELECT count(*), count(e.embedding) AS vectors, min(e.ord), max(e.ord), bool_and(e.embedding = s.embedding) AS same
FROM (SELECT array_agg(CASE WHEN i % 7 > 0 THEN 'text ' || i % 10 END ORDER BY i) AS bodies FROM generate_series(1, 2100) i) a,
	bitnet_embed(bodies) e JOIN (SELECT i, bitnet_embed('text ' || i) AS embedding FROM generate_series(0, 9) i) s ON s.i = e.ord % 10;

-- Fewer dimensions: the first ones, with length 1 again
SELECT array_length(short, 1) AS n, abs(dot(short, short) - 1) < 1e-5 AS unit,
	abs(dot(short, long[1:8]) / sqrt(dot(long[1:8], long[1:8])) - 1) < 1e-5 AS direction
FROM bitnet_embed('hello', 8) short, bitnet_embed('hello') long;
SELECT bitnet_embed('hello', array_length(bitnet_embed('hello'), 1)) = bitnet_embed('hello') AS all_of_them;

-- Pooling.  The first token is the same in all texts.
SELECT bitnet_embed('one', options => '{"pooling": "first"}') =
		bitnet_embed('two and three', options => '{"pooling": "first"}') AS first,
	bitnet_embed('one', options => '{"pooling": "last"}') <>
		bitnet_embed('one', options => '{"pooling": "first"}') AS last,
	bitnet_embed('one two', options => '{"pooling": "mean"}') <>
		bitnet_embed('one two', options => '{"pooling": "last"}') AS mean;

-- Similarity is the cosine
SELECT bool_and(abs(bitnet_similarity(a.body, b.body) -
		dot(bitnet_embed(a.body), bitnet_embed(b.body))) < 1e-5) AS cosine,
	bool_and(bitnet_similarity(a.body, b.body) = bitnet_similarity(b.body, a.body)) AS symmetric,
	bool_and(bitnet_similarity(a.body, b.body) BETWEEN -1 AND 1) AS bounded,
	bool_and(abs(bitnet_similarity(a.body, a.body) - 1) < 1e-12) AS same
FROM samples a, samples b WHERE a.id < 5 AND b.id < 5;

-- Too long
SELECT code, message FROM error_of('SELECT bitnet_embed(repeat(''hello world '', 100000))');
SELECT array_length(bitnet_embed(repeat('hello world ', 100000),
	options => '{"on_overflow": "truncate"}'), 1) > 0 AS truncated;

SELECT bitnet_embed(long || 'one', options => o) = bitnet_embed(long || 'two', options => o) AS end_is_cut,
	bitnet_embed(long, options => o) <> bitnet_embed('other ' || long, options => o) AS beginning_counts
FROM repeat('hello world ', 2000) AS long, (VALUES ('{"on_overflow": "truncate"}'::jsonb)) v (o);

-- Dimensions and options that do not exist
SELECT e.* FROM unnest(ARRAY[
	$$SELECT bitnet_embed('x', 0)$$,
	$$SELECT bitnet_embed('x', -1)$$,
	$$SELECT bitnet_embed('x', 1000000)$$,
	$$SELECT * FROM bitnet_embed(ARRAY['x'], 1000000)$$,
	$$SELECT bitnet_embed('x', options => '{"pooling": "max"}')$$,
	$$SELECT bitnet_embed('x', options => '{"pooling": ""}')$$,
	$$SELECT bitnet_embed('x', options => '{"pooling": 1}')$$,
	$$SELECT bitnet_similarity('x', 'y', options => '{"dimensions": 1}')$$]) q, error_of(q) e;

DROP FUNCTION dot;
