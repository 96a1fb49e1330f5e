# Vectors of pgvector from embeddings, where that extension is installed.

use strict;
use warnings;

use BitnetTest;
use Test::More;

my $node = start_server('pgvector');

# Where extensions are found by extension_destdir, pg_available_extensions does
# not list them all; so just try.
if ($node->psql('postgres', 'CREATE EXTENSION vector') != 0)
{
	$node->stop;
	plan skip_all => 'pgvector is not installed';
}

my $d = $node->safe_psql('postgres', "SELECT array_length(bitnet_embed('x'), 1)");

$node->safe_psql('postgres', qq{
CREATE TABLE docs (id int, body text, v vector($d), w vector(8));
CREATE TRIGGER v BEFORE INSERT OR UPDATE ON docs FOR EACH ROW
	EXECUTE FUNCTION bitnet_trigger('w', 'bitnet_embed', 'body', '{"dimensions": 8}');
INSERT INTO docs SELECT i, b, bitnet_embed(b)
FROM unnest(ARRAY['one text', 'quite another one', 'and the last']) WITH ORDINALITY u(b, i);});

is($node->safe_psql('postgres', 'SELECT bool_and(v = bitnet_embed(body)::vector) FROM docs'),
	't', 'a vector column takes embeddings');
is($node->safe_psql('postgres', 'SELECT bool_and(w = bitnet_embed(body, 8)::vector) FROM docs'),
	't', 'also from a trigger');
is( $node->safe_psql('postgres',
		"SELECT id FROM docs ORDER BY v <=> bitnet_embed('quite another one')::vector LIMIT 1"),
	'2', 'the nearest text is the text itself');
is( $node->safe_psql('postgres',
		"SELECT bool_and(abs(1 - (v <=> bitnet_embed('x')::vector) - bitnet_similarity(body, 'x')) < 1e-5) FROM docs"),
	't', 'the distance is that of bitnet_similarity');
like(
	$node->safe_psql('postgres', qq{
CREATE INDEX ON docs USING hnsw (v vector_cosine_ops);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM docs ORDER BY v <=> bitnet_embed('x')::vector LIMIT 1;}),
	qr/Index Scan/, 'and an index can be searched with it');

my ($status, $out, $err) = $node->psql('postgres', q{
CREATE TABLE wrong (body text, v vector(3));
CREATE TRIGGER v BEFORE INSERT ON wrong FOR EACH ROW
	EXECUTE FUNCTION bitnet_trigger('v', 'bitnet_embed', 'body');
INSERT INTO wrong VALUES ('x');});
like($err, qr/expected 3 dimensions, not $d/, 'a column of other dimensions is an error');

$node->stop;
done_testing();
