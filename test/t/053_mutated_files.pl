# Model files with damage, in a live server: each is refused with a reason, or
# it answers; and nobody else notices.  The unit test of the same name does more
# of this to the core alone.

use strict;
use warnings;

use BitnetTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $n_files = 200;
my $seed = $ENV{BITNET_MUTATION_SEED} // 53;
srand($seed);

my $node = start_server('mutated');
my $models = $node->basedir . '/models';
make_model("$models/good.gguf", qw(--layers 1 --hidden 64 --ffn 128 --vocab 400 --ctx 128));
my $good = slurp_file("$models/good.gguf");

# Where the file's numbers and texts are, as [place, bytes]: those that are
# one of a kind, those of the vocabulary, and values of the tensors.

my @single = ([ 0, 4 ], [ 4, 4 ], [ 8, 8 ], [ 16, 8 ]);
my @lists;
my @values;
my $at = 24;

sub field
{
	my ($fields, $bytes) = @_;

	push @$fields, [ $at, $bytes ];
	$at += $bytes;
	return $bytes == 8 || $bytes == 4 ? unpack($bytes == 8 ? 'Q<' : 'V', substr($good, $at - $bytes, $bytes)) : undef;
}

sub text
{
	my ($fields) = @_;
	my $length = field($fields, 8);

	field($fields, $length) if $length > 0;
	return;
}

sub value
{
	my ($fields, $type) = @_;

	return $type == 8 ? text($fields) : field($fields, (1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8)[$type]);
}

my ($n_tensors, $n_keys) = unpack('Q<Q<', substr($good, 8, 16));
for (1 .. $n_keys)
{
	text(\@single);
	my $type = field(\@single, 4);
	if ($type == 9)
	{
		my $item_type = field(\@single, 4);
		value(\@lists, $item_type) for 1 .. field(\@single, 8);
	}
	else
	{
		value(\@single, $type);
	}
}
for (1 .. $n_tensors)
{
	text(\@single);
	field(\@single, 8) for 1 .. field(\@single, 4);
	field(\@single, $_) for 4, 8;
}
push @values, [ $at + 4 * int(rand((length($good) - $at) / 4)), 4 ] for 1 .. 100;

# One change of one kind

my @extremes = (0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x7f800000,
	0x7fc00000, 0x7f7fffff, 0xff7fffff, 1 << 32, 1 << 40, 1 << 62, ~0 >> 1, ~0, ~0 - 7, ~0 - 31);

sub any { return $_[rand @_]; }

my @kinds = (
	sub {    # a bit
		my ($data, $place, $bytes) = @_;
		vec($$data, 8 * ($place + int(rand $bytes)) + int(rand 8), 1) ^= 1;
	},
	sub {    # a byte
		my ($data, $place, $bytes) = @_;
		substr($$data, $place + rand $bytes, 1) = chr(int(rand 256));
	},
	sub {    # a number
		my ($data, $place, $bytes) = @_;
		substr($$data, $place, $bytes) = substr(pack('Q<', any(@extremes)), 0, $bytes);
	},
	sub {    # a neighbour of the number
		my ($data, $place, $bytes) = @_;
		vec($$data, $place, 8) = (vec($$data, $place, 8) + any(1, 255)) % 256;
	},
	sub {    # something goes
		my ($data, $place, $bytes) = @_;
		substr($$data, $place, $bytes) = '';
	},
	sub {    # something comes twice
		my ($data, $place, $bytes) = @_;
		substr($$data, $place, 0) = substr($$data, $place, $bytes);
	},
	sub {    # two places change theirs
		my ($data, $place, $bytes, $other) = @_;
		my $first = substr($$data, $place, $bytes);
		substr($$data, $place, $bytes) = substr($$data, $other, $bytes);
		substr($$data, $other, $bytes) = $first;
	},
	sub {    # the end goes
		my ($data, $place, $bytes) = @_;
		substr($$data, $place + rand $bytes) = '';
	});

sub write_mutated
{
	my ($path) = @_;
	my $fields = any(\@single, \@single, \@lists, \@values);
	my $data = $good;

	any(@kinds)->(\$data, @{ any(@$fields) }, any(@$fields)->[0]);
	open my $fh, '>:raw', "$path.new" or die "$path: $!";
	print $fh $data;
	close $fh;
	rename "$path.new", $path or die "$path: $!";
	return;
}

# What a call gives: "ok" or the error's SQLSTATE, message and detail.

$node->safe_psql('postgres', q{
	CREATE FUNCTION try(query text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		m text;
		d text;
	BEGIN
		EXECUTE query;
		RETURN 'ok';
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL;
		RETURN concat_ws(': ', SQLSTATE, m, d);
	END $$});
my $session = open_session($node, 'postgres');
my $answer = "SELECT bitnet_generate('a red hat', 8, model => 'good')";
my $expected = $session->query_safe($answer);
my $pid = backend_pid($session);

my %count = (loaded => 0, refused => 0, silent => 0);
my @wrong;
for my $i (1 .. $n_files)
{
	write_mutated("$models/mutated.gguf");
	my $load = $session->query("SELECT try('SELECT bitnet_load(''mutated'', reload => true)')");
	if ($load ne 'ok')
	{
		$count{refused}++;
		push @wrong, "file $i, loading: $load"
		  unless $load =~ /^(XX001|0A000|54000): could not load model file "[^"]*mutated.gguf": .{15}.*\.$/;
		next;
	}
	$count{loaded}++;
	$session->query_safe('SET bitnet.shared_engine = ' . ($i % 2 ? 'on' : 'off'));
	for my $call ("bitnet_generate(''a red hat'', 4, model => ''mutated'')",
		"bitnet_embed(''a red hat'', model => ''mutated'')",
		"bitnet_count_tokens(''caf\xc3\xa9 <|eot_id|>'', ''mutated'')")
	{
		my $result = $session->query("SELECT try('SELECT $call')");

		next if $result eq 'ok';
		$count{silent}++;
		push @wrong, "file $i, $call: $result" unless $result =~ /^(22003|54000): .{15}/;
	}
}
is(join("\n", @wrong), '', "files with damage (seed $seed): an error that tells why, or an answer");
cmp_ok($count{refused}, '>', $n_files / 10, "$count{refused} were refused");
cmp_ok($count{loaded}, '>', $n_files / 10,
	"$count{loaded} could be used, with $count{silent} calls that had no answer");

# Nobody else notices

is(backend_pid($session), $pid, 'it was one session all the time');
is($session->query_safe($answer), $expected, 'in which another model answers as before');
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|TRAP|server process .* exited with/,
	'no process of the server came to harm');
$session->query("SELECT bitnet_unload('mutated'); SELECT bitnet_unload('good')");
ok(wait_until(sub { $session->query_safe('SELECT count(*) FROM bitnet_engines') eq '0' }), 'engines end');
is($session->query_safe("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), '0', 'no lock is left');
$session->quit;
ok(wait_until(sub { segments($node) == 0 }), 'and no memory');
$node->stop;
done_testing();
