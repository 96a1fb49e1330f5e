-- What the objects of objects.sql hold and say, whatever the search path and
-- the schema of the extension.  With the variable "writes", also what they make
-- of new contents.

SET search_path = '';
SELECT * FROM public.ticket ORDER BY id;
SELECT * FROM public.answers ORDER BY id;
SELECT * FROM public.sets ORDER BY id, probability, token_id;
SELECT * FROM public.groups ORDER BY sort;
SELECT * FROM public.digest ORDER BY label;
SELECT count(*) = 0 FROM public.server;

SET enable_seqscan = off;
SELECT id FROM public.ticket WHERE public.sort_of(body) = 'bug' ORDER BY id;

SELECT datname, rolname, setconfig
FROM pg_db_role_setting LEFT JOIN pg_database d ON d.oid = setdatabase LEFT JOIN pg_roles r ON r.oid = setrole
ORDER BY 1, 2;
SELECT parname, paracl FROM pg_parameter_acl;
SELECT proname, pronargs, has_function_privilege('clerk', oid, 'EXECUTE') AS clerk,
	has_function_privilege('guest', oid, 'EXECUTE') AS guest
FROM pg_proc WHERE proname LIKE 'bitnet%' ORDER BY 1, 2;
SELECT relname, has_table_privilege('guest', oid, 'SELECT') AS guest
FROM pg_class WHERE relname LIKE 'bitnet%' ORDER BY 1;
SHOW bitnet.model;
SHOW bitnet.threads;

\if :{?writes}
BEGIN;
INSERT INTO public.ticket (id, body) VALUES (20, 'a new text') RETURNING *;
UPDATE public.ticket SET body = 'another text' WHERE id = 1 RETURNING *;
ROLLBACK;
\endif
