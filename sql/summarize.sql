-- bitnet_summarize and bitnet_summarize_agg

CREATE FUNCTION words(t text) RETURNS int LANGUAGE sql AS
$$SELECT cardinality(regexp_split_to_array(btrim(t, E' \n\r\t\f\v'), '\s+'))$$;

-- NULL and blank input
SELECT bitnet_summarize(NULL) IS NULL AS input, bitnet_summarize('') = '' AS empty,
	bitnet_summarize(E' \n ') = '' AS blank;

-- The same twice, and never more words than asked for
SELECT bool_and(bitnet_summarize(body, 12) = bitnet_summarize(body, 12)) AS same,
	bool_and(words(bitnet_summarize(body, 3)) <= 3) AS three,
	bool_and(words(bitnet_summarize(body, 1)) <= 1) AS one,
	bool_and(bitnet_summarize(body) = bitnet_summarize(E'\n' || body || '  ', 50)) AS fifty
FROM samples WHERE id <= 6;
SELECT bitnet_summarize(body, 20) = bitnet_summarize(body, 20, NULL, NULL, '{}') AS defaults,
	bitnet_summarize(body, 20, options => '{"temperature": 1, "seed": 3}') =
		bitnet_summarize(body, 20, options => '{"temperature": 1, "seed": 3}') AS seed,
	bitnet_summarize(body, 20, options => '{"temperature": 9, "seed": 3}') <>
		bitnet_summarize(body, 20, options => '{"temperature": 9, "seed": 4}') AS another_seed,
	bitnet_summarize(body, 20, options => '{"temperature": 9, "top_k": 1}') = bitnet_summarize(body, 20) AS best,
	bitnet_count_tokens(bitnet_summarize(body, 20, options => '{"max_tokens": 2}')) <= 8 AS short
FROM samples WHERE id = 1;

-- Longer than the context, in one line, in lines, in one word
SELECT context_length AS context FROM bitnet_models WHERE name = 'default' \gset
SELECT bitnet_count_tokens(t) > :context AS long, words(bitnet_summarize(t, 10)) <= 10 AS limited
FROM unnest(ARRAY[
	repeat('One sentence follows another. ', :context / 5),
	repeat(E'A paragraph.\n\nIt ends', :context / 3),
	repeat('日本語。', :context / 8),
	repeat('x0', :context * 2 / 3)]) t;

-- The aggregate: texts of a group in their order, NULLs left out
SELECT bitnet_summarize_agg(body) IS NULL AS nothing FROM samples WHERE false;
SELECT bitnet_summarize_agg(NULL) IS NULL AS nulls FROM samples;
SELECT bitnet_summarize_agg(t) = '' AS blank FROM unnest(ARRAY['', NULL, ' ']) t;
SELECT bool_and(one) AS single FROM
	(SELECT bitnet_summarize_agg(body) = bitnet_summarize(min(body)) AS one FROM samples WHERE id <= 4 GROUP BY id) s;
SELECT bitnet_summarize_agg(t ORDER BY t) = bitnet_summarize(E'a\n\nb\n\nc') AS ascending,
	bitnet_summarize_agg(t ORDER BY t DESC) = bitnet_summarize(E'c\n\nb\n\na') AS descending,
	bitnet_summarize_agg(t ORDER BY t) FILTER (WHERE t <> 'b') = bitnet_summarize(E'a\n\nc') AS filtered,
	bitnet_summarize_agg(DISTINCT t) = bitnet_summarize(E'a\n\nb\n\nc') AS distinct_texts
FROM unnest(ARRAY['b', 'a', NULL, 'c', 'a']) WITH ORDINALITY u(t, ord)
WHERE ord < 5;
SELECT id % 2 AS odd, bitnet_summarize_agg(body ORDER BY id) =
	bitnet_summarize(string_agg(btrim(body, E' \n'), E'\n\n' ORDER BY id)) AS same
FROM samples WHERE id NOT IN (4, 6) GROUP BY id % 2 ORDER BY 1;
SELECT id, bitnet_summarize_agg(body) OVER w = bitnet_summarize(string_agg(btrim(body, E' \n'), E'\n\n') OVER w) AS running
FROM samples WHERE id <= 3 WINDOW w AS (ORDER BY id) ORDER BY id;

-- A group much longer than the context
SELECT bitnet_summarize_agg('Record ' || i || ' is as good as any other record.' ORDER BY i) IS NOT NULL AS done
FROM generate_series(1, :context / 5) i;

DROP FUNCTION words;
