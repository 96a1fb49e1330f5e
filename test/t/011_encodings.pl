# Databases of other encodings than UTF-8.

use strict;
use warnings;
use utf8;

use BitnetTest;
use Encode qw(encode);
use PostgreSQL::Test::Utils;
use Test::More;

# Random weights say anything, in any script
my $node = start_server(
	'encodings',
	before_start => sub { system_or_bail($ENV{BITNET_MAKE_MODEL}, $_[0]->basedir . '/models/default.gguf') });
# The last ten tokens of 2048, see test/model_vocab.h
my $first_special = 2038;
my %texts = (
	LATIN1 => 'Käse und Brötchen, naïve façade',
	LATIN9 => 'zehn €, œuvre',
	WIN1251 => 'Привет, мир',
	EUC_JP => '日本語のテキスト',
	SQL_ASCII => 'Käse 日本語');

# A literal of the bytes of UTF-8, which the session's encoding makes of them
sub literal
{
	my ($text) = @_;

	return "convert_from('\\x" . unpack('H*', encode('UTF-8', $text)) . "', 'UTF8')";
}

# Tokens as a database in UTF-8 sees them
my %tokens = map
{
	$_ => $node->safe_psql('postgres', 'SELECT bitnet_tokenize(' . literal($texts{$_}) . ')')
} keys %texts;
my $answer_of = "SELECT encode(convert_to(bitnet_generate('hello', 40, 1, 3), 'UTF8'), 'hex')";

foreach my $encoding (sort keys %texts)
{
	my $db = lc "db_$encoding";
	my $text = $encoding eq 'SQL_ASCII' ?
	  "'" . encode('UTF-8', $texts{$encoding}) . "'" : literal($texts{$encoding});

	$node->safe_psql('postgres',
		"CREATE DATABASE $db ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
	$node->safe_psql($db, 'CREATE EXTENSION bitnet');

	is($node->safe_psql($db, "SELECT bitnet_tokenize($text)"), $tokens{$encoding},
		"$encoding: the tokens are those of the characters");
	is($node->safe_psql($db, "SELECT bitnet_detokenize(bitnet_tokenize($text)) = $text"), 't',
		"$encoding: there and back");
	is($node->safe_psql($db, "SELECT starts_with($text, bitnet_truncate($text, 3)), bitnet_truncate($text, 1000) = $text"),
		't|t', "$encoding: truncated between characters");
	is($node->safe_psql($db, "SELECT bitnet_classify($text, ARRAY[$text, 'x']) IN ($text, 'x')"), 't',
		"$encoding: labels");
	is($node->safe_psql($db, "SELECT bitnet_embed($text) IS NOT NULL, bitnet_summarize($text, 5) IS NOT NULL, bitnet_chat(jsonb_build_array(jsonb_build_object('role', 'user', 'content', $text)), 5) IS NOT NULL"),
		't|t|t', "$encoding: other functions");

	is($node->safe_psql($db, "SELECT bitnet_tokenize(''), bitnet_detokenize('{}') = '', bitnet_count_tokens(''), bitnet_truncate('', 3) = '', bitnet_summarize('') = '', bitnet_classify('', ARRAY[$text, 'x']) IS NULL, bitnet_embed('') IS NULL, bitnet_similarity($text, '') IS NULL, bitnet_logprob('', $text), bitnet_generate('', 3) IS NOT NULL"),
		'{}|t|0|t|t|t|t|t|0|t', "$encoding: text of no length");

	# As one token it would be one of the last ids, and come back as nothing
	is($node->safe_psql($db, "SELECT (SELECT max(t) < $first_special FROM unnest(bitnet_tokenize(s)) t), bitnet_detokenize(bitnet_tokenize(s)) = s FROM (SELECT $text || '<|begin_of_text|><|eot_id|>' || $text AS s) t"),
		't|t', "$encoding: names of special tokens are plain text");

	# Whatever the model says is valid, with question marks or blanks for what is missing
	is($node->safe_psql($db, "SELECT count(bitnet_generate(ARRAY[$text], 60, 1, s)) FROM generate_series(1, 20) s"),
		'20', "$encoding: answers can be stored");
	is($node->safe_psql($db, "SELECT bool_and(octet_length(convert(convert_to(a, '$encoding'), '$encoding', '$encoding')) > 0) FROM (SELECT bitnet_generate('hello', 60, 1, s) AS a FROM generate_series(1, 20) s) g"),
		't', "$encoding: and are valid");
}

# In LATIN1 an answer is that of UTF-8, but for what LATIN1 lacks
my $utf8 = pack('H*', $node->safe_psql('postgres', $answer_of));
my $latin1 = pack('H*', $node->safe_psql('db_latin1', $answer_of));

utf8::decode($utf8);
utf8::decode($latin1);
(my $expected = $utf8) =~ s/(?!\s)[^\x{00}-\x{ff}]/?/g;
$expected =~ s/[^\x{00}-\x{ff}]/ /g;
is($latin1, $expected, 'the answer is the same as in UTF-8, but for missing characters');
isnt($utf8, $expected, 'of which there are some');

is( $node->safe_psql('db_latin1', "SELECT bitnet_detokenize('" . $node->safe_psql('postgres', 'SELECT bitnet_tokenize(' . literal("a\x{2003}b\x{3000}\x{65e5}c") . ')') . "')"),
	'a b ?c', 'a space that is missing is another space');

# An aggregate that condenses on its way gives the same in the plan of many groups
my $groups = "SELECT string_agg(s, ';' ORDER BY k) FROM (SELECT i % 2 AS k, bitnet_summarize_agg(repeat('text ' || i || ' ', 300)) AS s FROM generate_series(1, 40) i GROUP BY 1) g";
is( $node->safe_psql('db_latin1', "SELECT bitnet_version(); $groups"),
	"0.1.0\n" . $node->safe_psql('db_latin1', "SELECT bitnet_version(); SET bitnet.enable_batch_scan = off; $groups") =~ s/^.*\n//r,
	'summaries of groups are the same with the batch scan');

# Long texts are converted by pieces, between characters of two and three bytes
my $long = "'x' || repeat(" . literal($texts{EUC_JP}) . ', 70000)';
my $n_long = $node->safe_psql('postgres', "SELECT bitnet_count_tokens($long)");
is( $node->safe_psql('db_euc_jp', "SELECT octet_length(t) > 1024 * 1024, bitnet_count_tokens(t) = $n_long, starts_with(t, p), bitnet_count_tokens(p) >= $n_long - 5 FROM (SELECT t, bitnet_truncate(t, $n_long - 1) AS p FROM (SELECT $long AS t OFFSET 0) s OFFSET 0) s"),
	't|t|t|t', 'a long text has the same tokens, and comes back');

# Bytes that are not UTF-8 are only possible in SQL_ASCII
is( $node->safe_psql('db_sql_ascii', "SELECT bitnet_count_tokens(E'\\xff\\xfe\\x80') > 0, bitnet_embed(E'a\\xff') IS NOT NULL, bitnet_generate(E'\\xc3', 5) IS NOT NULL, bitnet_truncate(E'\\x80\\x80\\x80\\x80\\x80', 2) IS NOT NULL"),
	't|t|t|t', 'bytes of no encoding');

$node->stop;
done_testing();
