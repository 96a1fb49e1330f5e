-- How the functions are declared

SELECT p.oid::regprocedure AS function,
	CASE provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END AS volatility,
	CASE proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END AS parallel,
	procost AS cost, proisstrict AS strict, proacl IS NULL AS public
FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
JOIN pg_extension e ON d.refobjid = e.oid AND d.deptype = 'e' AND e.extname = 'bitnet'
WHERE prokind = 'f' AND p.oid::regprocedure::text !~ '^bitnet_(load|unload|models|version)\('
ORDER BY p.oid::regprocedure::text COLLATE "C";

-- None of them may see rows that a policy hides, or runs as somebody else
SELECT count(*) FROM pg_proc WHERE proname ~ '^bitnet_' AND (proleakproof OR prosecdef);

-- Every object has a comment
SELECT pg_describe_object(classid, objid, 0) AS lacks_comment
FROM pg_depend JOIN pg_extension e ON refobjid = e.oid AND deptype = 'e' AND e.extname = 'bitnet'
WHERE refclassid = 'pg_extension'::regclass AND obj_description(objid, classid::regclass::name) IS NULL
	AND classid IN ('pg_proc'::regclass, 'pg_class'::regclass);

-- They are evaluated after cheap conditions and after a LIMIT
EXPLAIN (COSTS OFF, VERBOSE) SELECT id FROM samples
WHERE bitnet_classify(body, '{a,b}') = 'a' AND id % 2 = 1;
EXPLAIN (COSTS OFF, VERBOSE) SELECT bitnet_summarize(body) FROM samples ORDER BY body LIMIT 3;

-- The doctor
SELECT item, status FROM bitnet_check() WHERE item NOT IN ('kernel', 'threads', 'shared memory');
SET bitnet.model = 'no_such_model';
SELECT item, status, hint IS NOT NULL AS hint FROM bitnet_check() WHERE status = 'error';
RESET bitnet.model;
SET bitnet.max_tokens_limit = 5;
SELECT item, status, detail, hint FROM bitnet_check() WHERE item = 'settings';
RESET bitnet.max_tokens_limit;
SELECT count(*) FROM bitnet_check() WHERE status NOT IN ('ok', 'warning', 'error');
