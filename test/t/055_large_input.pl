# Very large texts and arrays: every function works on them or says that they
# are too large, can be canceled while it reads them, and does not take a multiple
# of their size in memory.
#
# A processor's time and not a clock's is measured, so that others on the machine
# do not count.  With texts as large as PostgreSQL's can be it takes long, and some
# GB of memory, which PostgreSQL's own copies of them need:
#
#     BITNET_LARGE_BYTES=1000000000 TESTS=055_large_input make test

use strict;
use warnings;

use BitnetTest;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;

plan(skip_all => 'needs /proc/PID/clear_refs') unless -e "/proc/$$/clear_refs";

my $bytes = $ENV{BITNET_LARGE_BYTES} // 1_000_000;
my $longest_word = 2**25;
my $megabyte = 1024 * 1024;
my $node = start_server('large', before_start => sub {
	make_model($_[0]->basedir . '/models/default.gguf');
	make_model($_[0]->basedir . '/models/long.gguf', '--ctx', 8192);
});
my $define = q{
CREATE EXTENSION IF NOT EXISTS bitnet;
CREATE FUNCTION outcome(call text, t text, a text[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN EXECUTE 'SELECT ' || call USING t, a; RETURN 'ok';
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || CASE WHEN SQLSTATE LIKE 'XX%' THEN SQLERRM ELSE '' END; END $$;
CREATE FUNCTION again(call text, t text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE 'ready';
	LOOP BEGIN EXECUTE 'SELECT ' || call USING t; EXCEPTION WHEN program_limit_exceeded THEN END; END LOOP;
END $$};
my ($session, $pid);

sub connect_to
{
	my ($database) = @_;

	$session->quit if $session;
	$session = open_session($node, $database, '-v', 'VERBOSITY=verbose');
	$session->query_safe('SELECT FROM bitnet_models');
	$pid = backend_pid($session);
	return;
}

# A text of 10 bytes, many times
my %texts = (words => "'word word '", word => "'xxxxxxxxxx'", blank => "'          '", latin1 => "'k' || chr(228) || 'se und '");

sub text
{
	my ($name, $size) = @_;

	return "repeat(repeat($texts{$name}, 1000), $size / 10000)";
}

# Calls with a text $1: what comes of words, of one word, and of white space
my $long = '54000';
my $word = $bytes > $longest_word ? $long : 'ok';
my $twice = 2 * $bytes > 1_000_000_000 ? $long : undef;	# PostgreSQL's arrays are no larger
my @calls = (
	[ 'bitnet_generate($1, 1)', $long, $long, 'ok' ],
	[ q{bitnet_generate($1, 1, options => '{"raw": true}')}, $long, $long, $long ],
	[ q{bitnet_generate('x', 1, system => $1)}, $long, $long, 'ok' ],
	[ q{bitnet_generate('x', 1, stop => ARRAY[$1, $1])}, ($twice // 'ok') x 3 ],
	[ q{bitnet_generate('x', 1, model => $1)}, '22023', '22023', '22023' ],
	[ q{bitnet_generate(ARRAY['x', $1], 1)}, $long, $long, 'ok' ],
	[ q{bitnet_chat(jsonb_build_array(jsonb_build_object('role', 'user', 'content', left($1, 250000000))), 1)}, $long, $long, 'ok' ],
	[ q{bitnet_chat(jsonb_build_array(jsonb_build_object('role', left($1, 250000000), 'content', 'x')))}, '22023', '22023', '22023' ],
	[ q{bitnet_generate('x', 1, options => jsonb_build_object(left($1, 250000000), 1))}, '22023', '22023', '22023' ],
	[ 'bitnet_embed($1)', $long, $long, 'ok' ],
	[ q{bitnet_embed($1, options => '{"on_overflow": "truncate"}')}, 'ok', 'ok', 'ok' ],
	[ q{count(*) FROM bitnet_embed(ARRAY['x', $1])}, $long, $long, 'ok' ],
	[ q{bitnet_similarity('x', $1)}, $long, $long, 'ok' ],
	[ q{bitnet_classify($1, '{a,b}')}, $long, $long, 'ok' ],
	[ q{bitnet_classify($1, '{a,b}', options => '{"on_overflow": "truncate"}')}, 'ok', 'ok', 'ok' ],
	[ q{bitnet_classify('x', ARRAY['a', $1])}, $long, $long, $long ],
	[ q{bitnet_classify('x', ARRAY[$1, $1])}, ($twice // '22023') x 3 ],
	[ q{bitnet_classify('x', '{a,b}', $1)}, $long, $long, $long ],
	[ q{bitnet_summarize('x', 1, $1)}, $long, $long, $long ],
	[ 'count(*) FROM bitnet_next_tokens($1, 2)', $long, $long, 'ok' ],
	[ q{bitnet_logprob('x', $1)}, $long, $long, $long ],
	[ q{bitnet_logprob($1)}, $long, $long, $long ],
	[ 'bitnet_count_tokens($1)', 'ok', $word, $word ],
	[ 'bitnet_tokenize($1)', $bytes / 5 > 134217727 ? $long : 'ok', $word, $word ],
	[ 'bitnet_truncate($1, 100)', 'ok', 'ok', 'ok' ],
	[ 'bitnet_truncate($1, 2147483647)', 'ok', 'ok', 'ok' ],
	[ "bitnet_truncate(\$1, $bytes / 10)", 'ok', $word, $word ]);

# ---- what comes of them ----

# The most memory that the session has had since the last call, in bytes
sub most_memory
{
	my ($most) = slurp_file("/proc/$pid/status") =~ /^VmHWM:\s*(\d+) kB/m;

	open my $reset, '>', "/proc/$pid/clear_refs" or die $!;
	print $reset '5';
	close $reset;
	return $most * 1024;
}

sub outcome
{
	my ($call, $text) = @_;
	my $result = $session->query("SELECT outcome(\$q\$$call\$q\$, $text, NULL)") . $session->{stderr};

	$session->{stderr} = '';
	return $result;
}

my $usual;

$node->safe_psql('postgres', $define);
connect_to('postgres');
foreach my $text (qw(words word blank))
{
	my $column = 1 + { words => 0, word => 1, blank => 2 }->{$text};
	my (@wrong, @much);

	# That the text has copies in PostgreSQL is not our doing
	most_memory();
	outcome('length($1)', text($text, $bytes));
	$usual = most_memory();

	foreach my $call (@calls)
	{
		my ($sql, $expected) = ($call->[0], $call->[$column]);
		my $result;

		most_memory();
		$result = outcome($sql, text($text, $bytes));
		push @wrong, "$sql: $result, not $expected" unless $result eq $expected;
		my $most = most_memory();

		# Tokens, or a document that has the text; or what a long word needs
		push @much, "$sql: " . int(($most - $usual) / $megabyte) . ' MB'
		  if $most > $usual + 3 * $bytes + ($text ne 'words' && $bytes <= $longest_word ? 32 * $bytes : 0) + 16 * $megabyte;
		note(sprintf '%s of %s: %s, %d MB', $sql, $text, $result, ($most - $usual) / $megabyte);
	}
	is(join("\n", @wrong), '', "a very large text: $text");
	is(join("\n", @much), '', 'does not take several times as much memory');
}
# The system message is in memory for some elements of an array, not for all
outcome("bitnet_load('long')", "''");
most_memory();
is(outcome(q{bitnet_generate(array_fill('x'::text, ARRAY[4000]), 1, system => left($1, 15000), model => 'long')}, text('words', $bytes)),
	'ok', 'many answers with a long system message');
cmp_ok(most_memory() - $usual, '<', 3 * $bytes + 48 * $megabyte, 'take little memory');
is(outcome('bitnet_count_tokens($1)', text('word', $longest_word + 10000)), $long, 'a word that needs too much memory');
is(outcome('bitnet_summarize($1)', text('blank', $bytes)), 'ok', 'a large summary of nothing');

# ---- arrays of more elements than there is memory for requests ----

my @takers = (
	'bitnet_generate($2)', 'count(*) FROM bitnet_embed($2)', q{bitnet_generate('x', 1, stop => $2)},
	q{bitnet_classify('x', $2)}, q{count(*) FROM bitnet_classify_scores('x', $2)});
foreach my $n (1_000_001, 134_217_727)
{
	is($session->query_safe("SELECT string_agg(DISTINCT outcome(c, NULL, a), ' ') FROM (SELECT array_fill(NULL::text, ARRAY[$n]) AS a OFFSET 0) s, unnest(ARRAY["
			  . join(', ', map { "\$q\$$_\$q\$" } @takers) . ']) c'), '54000', "arrays of $n elements");
}
is($session->query_safe(q{SELECT cardinality(bitnet_generate(array_fill(NULL::text, ARRAY[1000000]))), (SELECT count(*) FROM bitnet_embed(array_fill(NULL::text, ARRAY[1000, 1000])))}),
	'1000000|1000000', 'a million are allowed');

# ---- cancel ----

# The text is copied for each call, by PostgreSQL, which nothing interrupts; in some
# virtual machines that takes seconds for a gigabyte.
my $large = 20_000_000;
my $tick = 1 / POSIX::sysconf(POSIX::_SC_CLK_TCK);

sub processor_time
{
	my @fields = split ' ', slurp_file("/proc/$pid/stat") =~ s/.*\) //sr;

	return ($fields[11] + $fields[12]) * $tick;
}

# The longest that a call goes on after a cancel, of a few at chance moments
sub cancel_time
{
	my ($call, $text) = @_;
	my $longest = 0;

	foreach my $i (1, 2)
	{
		my $before;

		start_query($session, "SELECT again(\$q\$$call\$q\$, " . text($text, $large) . ')');
		wait_until(sub { $session->{run}->pump_nb; $session->{stderr} =~ /ready/ }) or die 'does not start';
		$before = processor_time();
		wait_until(sub { processor_time() - $before >= $i * 0.05 }) or die 'does not run';
		$before = processor_time();
		kill 'INT', $pid;
		end_of_query($session);
		die $session->{stderr} unless $session->{stderr} =~ /ERROR:  57014/;
		$session->{stderr} = '';
		my $time = processor_time() - $before;
		$longest = $time if $time > $longest;
	}
	return $longest;
}

sub check_cancel
{
	foreach my $case (@_)
	{
		in_time(sub { cancel_time(@$case) }, 0.25 * $slowness, "$case->[0] of $case->[1] can be canceled");
	}
	return;
}

check_cancel(
	[ 'bitnet_count_tokens($1)', 'words' ],
	[ 'bitnet_count_tokens($1)', 'word' ],
	[ 'bitnet_count_tokens($1)', 'blank' ],
	[ 'bitnet_count_tokens(left($1, 5000000))', 'word' ],
	[ 'bitnet_tokenize($1)', 'words' ],
	[ "bitnet_truncate(\$1, $large / 10)", 'words' ],
	[ 'bitnet_embed($1)', 'blank' ],
	[ 'bitnet_summarize($1)', 'words' ]);

$node->safe_psql('postgres', "CREATE DATABASE latin1 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
$node->safe_psql('latin1', $define);
connect_to('latin1');
check_cancel(
	[ 'bitnet_count_tokens($1)', 'latin1' ],
	[ 'bitnet_embed($1)', 'latin1' ],
	[ "bitnet_truncate(\$1, $large / 10)", 'latin1' ]);

$session->quit;
$node->stop;
done_testing();
