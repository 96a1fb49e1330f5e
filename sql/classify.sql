-- bitnet_classify and bitnet_classify_scores

-- NULL and blank input
SELECT bitnet_classify(NULL, '{a,b}') IS NULL AS input,
	bitnet_classify('x', NULL) IS NULL AS labels,
	bitnet_classify('', '{a,b}') IS NULL AS empty,
	bitnet_classify(E' \n\t\u3000', '{a,b}') IS NULL AS blank;
SELECT count(*) FROM bitnet_classify_scores(NULL, '{a,b}');
SELECT count(*) FROM bitnet_classify_scores(' ', '{a,b}');

-- The answer is one of the labels, and the most probable one
SELECT id, bitnet_classify(body, '{bug,question,praise}') = ANY ('{bug,question,praise}') AS in_list,
	bitnet_classify(body, '{bug,question,praise}') =
		(SELECT label FROM bitnet_classify_scores(body, '{bug,question,praise}') LIMIT 1) AS best
FROM samples ORDER BY id;

-- Probabilities of all labels, most probable first, that add up to one
SELECT bool_and(n = 4 AND labels = '{bug,other,praise,"two words"}' AND
	abs(total - 1) < 1e-12 AND sorted AND least >= 0) AS good
FROM samples,
	LATERAL (SELECT count(*) AS n, array_agg(label ORDER BY label COLLATE "C") AS labels,
			sum(probability) AS total, min(probability) AS least,
			array_agg(probability ORDER BY ord) = array_agg(probability ORDER BY probability DESC) AS sorted
		FROM bitnet_classify_scores(body, ARRAY['two words', 'bug', 'praise', 'other'])
			WITH ORDINALITY AS s(label, probability, ord)) s;

-- The same twice; labels of any script
SELECT bool_and(bitnet_classify(body, '{ja,nein}') = bitnet_classify(body, '{ja,nein}')) FROM samples;
SELECT bitnet_classify('x', ARRAY['質問', 'ошибка', '🎉']) = ANY (ARRAY['質問', 'ошибка', '🎉']) AS in_list;

-- Probabilities are those of the whole answer, its end included: what drawing answers gives
WITH asked AS MATERIALIZED (
	SELECT body, 'Choose the category that fits the text below best. Answer with the name of one category and nothing else.' ||
		E'\n\nCategories:\n- late\n- late delivery\n- lost\n\nText:\n' || body AS prompt
	FROM unnest(ARRAY['hm', 'My order.', 'late', 'Where is it?']) body),
drawn AS MATERIALIZED (
	SELECT body, bitnet_generate(prompt, 8, 1.0, i) AS answer FROM asked, generate_series(1, 200) i OFFSET 0),
shares AS (
	SELECT probability, (SELECT avg((answer = label)::int) FROM drawn d
		WHERE d.body = a.body AND answer = ANY ('{late,late delivery,lost}')) AS share
	FROM asked a, bitnet_classify_scores(body, '{late,late delivery,lost}'))
SELECT bool_and(abs(probability - share) < 0.12) AS drawn,
	count(*) FILTER (WHERE probability BETWEEN 0.1 AND 0.9) > 1 AS open FROM shares;

-- An instruction is part of the question
SELECT (SELECT array_agg(probability) FROM bitnet_classify_scores('text', '{a,b}')) <>
	(SELECT array_agg(probability) FROM bitnet_classify_scores('text', '{a,b}', 'Guess.')) AS differs;
SELECT (SELECT array_agg(probability) FROM bitnet_classify_scores('text', '{a,b}')) =
	(SELECT array_agg(probability) FROM bitnet_classify_scores('text', '{a,b}',
		'Choose the category that fits the text below best.')) AS published;

-- Too long
SELECT code, message FROM error_of(
	'SELECT bitnet_classify(repeat(''hello world '', 100000), ''{a,b}'')');
SELECT bitnet_classify(repeat('hello world ', 100000), '{a,b}',
	options => '{"on_overflow": "truncate"}') = ANY ('{a,b}') AS truncated;
-- what is left is the beginning
SELECT (SELECT array_agg(probability) FROM bitnet_classify_scores(long || 'one', '{a,b}', options => o)) =
		(SELECT array_agg(probability) FROM bitnet_classify_scores(long || 'two', '{a,b}', options => o)) AS end_is_cut,
	(SELECT array_agg(probability) FROM bitnet_classify_scores(long, '{a,b}', options => o)) <>
		(SELECT array_agg(probability) FROM bitnet_classify_scores('other ' || long, '{a,b}', options => o)) AS beginning_counts
FROM repeat('hello world ', 2000) AS long, (VALUES ('{"on_overflow": "truncate"}'::jsonb)) v (o);
SELECT bitnet_classify('hello', '{a,b}', options => '{"on_overflow": "truncate"}') =
	bitnet_classify('hello', '{a,b}') AS fits;

-- Labels that are no choice
SELECT e.* FROM unnest(ARRAY[
	$$SELECT bitnet_classify('x', '{}')$$,
	$$SELECT bitnet_classify('x', '{a}')$$,
	$$SELECT bitnet_classify('x', '{a,b,a}')$$,
	$$SELECT bitnet_classify('x', '{a,NULL}')$$,
	$$SELECT bitnet_classify('x', '{a,""}')$$,
	$$SELECT bitnet_classify('', '{a}')$$,
	$$SELECT bitnet_classify_scores('x', '{a,a}')$$]) q, error_of(q) e;
