-- Answers the cases of eval_case and scores them.  run_eval.py makes the table
-- and loads it; see make_eval.py for what the columns mean.

UPDATE eval_case SET answer = bitnet_classify(input, labels)
 WHERE task IN ('classify', 'sentiment');
UPDATE eval_case SET answer = bitnet_summarize(input)
 WHERE task = 'summary';
UPDATE eval_case SET answer = bitnet_generate(input, max_tokens => 48)
 WHERE task IN ('question', 'field', 'postgres');
UPDATE eval_case SET embedding = bitnet_embed(input)
 WHERE task = 'embed';

-- Vectors have length 1, so their product is the cosine.
CREATE FUNCTION pg_temp.product(a real[], b real[]) RETURNS float8
 LANGUAGE sql IMMUTABLE STRICT
 AS 'SELECT sum(x::float8 * y) FROM unnest(a, b) AS t(x, y)';

UPDATE eval_case AS c
   SET answer = (SELECT n.expected FROM eval_case AS n
                  WHERE n.task = 'embed' AND n.id <> c.id
                  ORDER BY pg_temp.product(c.embedding, n.embedding) DESC, n.id LIMIT 1)
 WHERE task = 'embed';

UPDATE eval_case SET correct =
	CASE WHEN answer IS NULL THEN false
		 WHEN expected IS NOT NULL THEN btrim(answer) = expected
		 ELSE (SELECT bool_and(lower(answer) ~ m) FROM unnest(must) AS m)
			  AND (allowed IS NULL OR
				   NOT EXISTS (SELECT FROM regexp_matches(lower(answer), '[a-z0-9][a-z0-9''-]*', 'g') AS w
								WHERE w[1] <> ALL (allowed)))
	END;

CREATE VIEW pg_temp.eval_score AS
SELECT task, count(*) AS n, round(100.0 * avg(correct::int), 1) AS score, goal
  FROM eval_case JOIN (VALUES (1, 'classify', 95), (2, 'sentiment', 95), (3, 'summary', 90), (4, 'question', 90),
							  (5, 'field', 95), (6, 'embed', 90), (7, 'postgres', 80)) AS g(place, name, goal) ON name = task
 GROUP BY place, task, goal
 ORDER BY place;
