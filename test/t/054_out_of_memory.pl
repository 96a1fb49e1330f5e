# Memory that runs out at any moment: the error is that, or a way that needs
# less gives the right result; afterwards everything is as it was before.
#
# One allocation after the other fails, in a session (test/out_of_memory.c) and
# in the workers, and then whole processes get no more memory, or no threads.
# This takes a sample of the allocations; all of them, for half an hour:
#
#     BITNET_EVERY_ALLOCATION=1 TESTS=054_out_of_memory make test

use strict;
use warnings;

use BitnetTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan(skip_all => 'needs /proc/PID/maps') unless -e "/proc/$$/maps";

my $all = $ENV{BITNET_EVERY_ALLOCATION};
my $node = start_server('out_of_memory',
	conf => "shared_preload_libraries = '$ENV{BITNET_OUT_OF_MEMORY}, $ENV{BITNET_MODULE}'\n"
	  . "bitnet.preload_models = 'm'\n"
	  . "bitnet.model = 'm'\n"
	  . "bitnet.max_tokens = 8\n"
	  . "bitnet.threads = 2\n"
	  . "bitnet.kv_cache_size = 8MB\n"
	  # LLVM crashes when such a session ends
	  . "jit = off\n",
	before_start => sub { make_model($_[0]->basedir . '/models/m.gguf') });

$node->safe_psql('postgres', qq(
	CREATE FUNCTION out_of_memory_at(query text, n int, OUT result text, OUT allocations int)
		AS '$ENV{BITNET_OUT_OF_MEMORY}' LANGUAGE C;
	CREATE TABLE texts AS SELECT 'text number ' || i AS body FROM generate_series(1, 20) i;
	CREATE TABLE labelled (body text, label text);
	CREATE TRIGGER label BEFORE INSERT ON labelled FOR EACH ROW EXECUTE FUNCTION
		bitnet_trigger('label', 'bitnet_classify', 'body', '{"labels": ["bug", "praise"]}')));

my $answer = q{SELECT bitnet_generate('hello')};
my %calls = (
	'generate' => $answer,
	'generate with stop strings' => q{SELECT bitnet_generate('hello', stop => '{x,y}', temperature => 1)},
	'generate for an array' => q{SELECT bitnet_generate('{a,b,c}'::text[])},
	'chat' => q{SELECT bitnet_chat('[{"role": "user", "content": "hello"}]')},
	'summarize' => q{SELECT bitnet_summarize(repeat('hello ', 150), 5, options => '{"max_tokens": 8}')},
	'summarize_agg' => q{SELECT bitnet_summarize_agg(body) FROM texts},
	'classify' => q{SELECT bitnet_classify('hello', '{a,b}')},
	'classify_scores' => q{SELECT * FROM bitnet_classify_scores('hello', '{a,b}')},
	'embed' => q{SELECT (bitnet_embed('hello'))[1:2]},
	'embed for an array' => q{SELECT ord, embedding[1] FROM bitnet_embed('{a,b}'::text[])},
	'similarity' => q{SELECT bitnet_similarity('hello', 'there')},
	'tokenize' => q{SELECT bitnet_tokenize('hello'), bitnet_count_tokens('hello'), bitnet_truncate('hello', 1)},
	'detokenize' => q{SELECT bitnet_detokenize('{65,66}')},
	'next_tokens' => q{SELECT * FROM bitnet_next_tokens('hello', 3)},
	'logprob' => q{SELECT bitnet_logprob('there', 'hello')},
	'trigger' => q{INSERT INTO labelled VALUES ('hello') RETURNING label},
	'rows' => q{SELECT string_agg(label, ',') FROM (SELECT bitnet_classify(body, '{a,b}') AS label FROM texts OFFSET 0) t},
	'load' => q{SELECT bitnet_load('m', true)},
	'unload' => q{SELECT bitnet_unload('m') > 0; SELECT bitnet_generate('hello')},
	'views' => q{SELECT count(*) FROM bitnet_models UNION ALL SELECT count(*) FROM bitnet_stats});

my @names = sort keys %calls;

# The rows of a call whose nth allocation fails, in psql's variable
sub call
{
	my ($name, $n, $variable) = @_;

	return "SELECT md5(result) AS $variable, allocations FROM out_of_memory_at(\$call\$$calls{$name}\$call\$, $n) \\gset\n";
}

# Some of a call's n allocations, or, of one call, all from when its request is
# ready.  The first half is the planner's, mostly.
sub sample
{
	my ($name, $n) = @_;

	return 1 .. $n if $all;
	return $n - 12 .. $n if $name eq 'generate';
	return map { $n - int(rand($n * 0.6)) } 1 .. 3;
}

# What a session has and should not have more of afterwards
my $possessions = q{
	SELECT (SELECT used_bytes AS used FROM pg_backend_memory_contexts WHERE name = 'TopMemoryContext'),
		(SELECT count(*) AS contexts FROM pg_backend_memory_contexts WHERE name LIKE 'bitnet%'),
		(SELECT count(*) AS mapped FROM regexp_matches(pg_read_file('/proc/self/maps'), 'pg_dynshmem', 'g')),
		(SELECT count(*) AS active FROM bitnet_activity) \gset
	\echo :used :contexts :mapped :active
};

# The server's segments.  Where memory runs out while the server makes a file of
# one, it leaves that empty.
my $segments = q{SELECT count(*) FROM pg_ls_dir('pg_dynshmem') f, pg_stat_file('pg_dynshmem/' || f) s WHERE s.size > 0};

srand($ENV{BITNET_RANDOM_SEED} // 1);
my $n_segments;
foreach my $engine (qw(on off))
{
	my $begin = "SET bitnet.shared_engine = $engine;\n" . join('', map { call($_, 0, 'right') x 2 } @names);
	my @n = split /\n/, $node->safe_psql('postgres',
		$begin . join('', map { call($_, 0, 'right') . "\\echo :allocations\n" } @names));
	my @trials = map { my $i = $_; map { [$names[$i], $_] } sample($names[$i], $n[$i]) } 0 .. $#names;

	$n_segments //= $node->safe_psql('postgres', $segments);
	my (undef, $out, $err) = $node->psql('postgres', $begin . $possessions . join('', map {
		my ($name, $n) = @$_;

		call($name, 0, 'right') . "\\set got none\n" . call($name, $n, 'got') . "\\set state :SQLSTATE\n"
		  . call($name, 0, 'later') . "\\echo :state :right :got :later\n"
	} @trials) . $possessions, on_error_stop => 0, timeout => undef);
	my ($before, @results) = split /\n/, $out;
	my $after = pop @results;
	my @wrong;
	my $n_errors = 0;

	foreach my $i (0 .. $#trials)
	{
		my ($state, $right, $got, $later) = split / /, $results[$i];

		$n_errors++ if $state eq '53200';
		next if $later eq $right && ($state eq '53200' || $state eq '00000' && $got eq $right);
		push @wrong, "$trials[$i][0], allocation $trials[$i][1]: $results[$i]";
	}
	is("@wrong", '', "engine $engine: $n_errors of " . @trials . ' failed calls say so, others are right, and so is the next');
	cmp_ok($n_errors, '>', @trials / 2, "engine $engine: most are errors");

	my ($used, @kept) = split / /, $before;
	my ($used_later, @kept_later) = split / /, $after;
	is("@kept_later", "@kept", "engine $engine: the session keeps no context, segment or request");
	cmp_ok($used_later, '<', $used + 4096, "engine $engine: nor memory");
	ok($node->poll_query_until('postgres', $segments, $n_segments), "engine $engine: nor the server a segment");
}

# In the workers.  Some seconds after a failure sessions compute by themselves.
my $right = $node->safe_psql('postgres', $answer);
foreach my $n ($all ? 1 .. 30 : (4, 10))
{
	my $offset = -s $node->logfile;

	$node->append_conf('postgresql.conf', "out_of_memory.worker_at = $n\n");
	$node->restart;
	is($node->safe_psql('postgres', $answer), $right, "allocation $n of workers: an answer");
	is($node->safe_psql('postgres', "$answer; SELECT count(*) FROM bitnet_activity"), "$right\n0", 'and another');
	next if $all;
	ok($node->wait_for_log(qr/out of memory: allocation $n of "bitnet $_"/, $offset), "the $_ worker had none")
	  foreach qw(preload engine);
}
$node->append_conf('postgresql.conf', "out_of_memory.worker_at = 0\n");
$node->restart;

done_testing();
