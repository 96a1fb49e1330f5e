# Processors with less than this one has: what they cannot do is refused, what
# they choose works, and the bytes are the same with every kernel.  Other
# processors are those of qemu; without it, only this one is tested.

use strict;
use warnings;

use BitnetTest;
use IPC::Run;
use POSIX ();
use Test::More;

# The session computes, with its own kernel.
my $node = start_server('processors',
	conf => "bitnet.model = 'small'\nbitnet.shared_engine = off\n",
	before_start => sub { make_model($_[0]->basedir . '/models/small.gguf') });
my $answer = q{SELECT md5(concat(bitnet_generate('Hello', max_tokens => 20, temperature => 1, seed => 7),
	bitnet_embed('Hello')))};
my $refuse = q{SET bitnet.kernel = 'abacus'};
my ($status, $out, $error) = $node->psql('postgres', "LOAD '\$libdir/bitnet'; $refuse");
my ($names) = $error =~ /This processor can use: auto, (.*)\./;
like($names // '', qr/\bscalar$/, 'an unknown kernel is refused with those that there are');

my $expected = $node->safe_psql('postgres', "LOAD '\$libdir/bitnet'; SET bitnet.kernel = 'scalar'; $answer");

like($expected, qr/^[0-9a-f]{32}$/, 'there is an answer');
for my $kernel (split /, /, $names)
{
	is($node->safe_psql('postgres', "LOAD '\$libdir/bitnet'; SET bitnet.kernel = '$kernel'; SHOW bitnet.kernel; $answer"),
		"$kernel\n$expected", "$kernel: the answer is that of the scalar kernel");
}
$node->stop;

# A server without others, on another processor.  Each line is a statement, with
# one thread, since the threads of qemu's guests are not to be relied on.
sub run_alone
{
	my ($processor, @statements) = @_;
	my $input = join("\n", map { s/\s+/ /gr } "LOAD '\$libdir/bitnet'", 'SET bitnet.threads = 1', @statements) . "\n";
	my ($output, $errors);

	IPC::Run::run([ 'qemu-x86_64-static', '-cpu', $processor, $node->config_data('--bindir') . '/postgres',
			'--single', '-D', $node->data_dir, 'postgres' ], '<', \$input, '>', \$output, '2>', \$errors);
	return ($? >> 8 || $? & 127, $output . $errors);
}

SKIP:
{
	my ($major, $minor) = (`qemu-x86_64-static --version 2> /dev/null` // '') =~ /version (\d+)\.(\d+)/;

	skip 'a server with the address sanitizer does not run in qemu', 1 if $ENV{ASAN_OPTIONS};

	# qemu has AVX2 since 7.2.
	skip 'needs qemu-x86_64-static, 7.2 or newer, on x86', 1
	  if (POSIX::uname())[4] ne 'x86_64' || !defined $major || $major * 100 + $minor < 702;

	for (
		[ 'Nehalem', 'scalar', 'scalar', [ 'avx2', 'avx512vnni', 'avx512vbmi' ] ],
		[ 'Haswell', 'avx2', 'avx2, scalar', [ 'avx512vnni', 'avx512vbmi' ] ])
	{
		my ($processor, $best, $usable, $missing) = @$_;

		my ($rc, $output) = run_alone($processor, "SELECT detail FROM bitnet_check() WHERE item = 'kernel'", $answer,
			map { "SET bitnet.kernel = '$_'" } @$missing);
		is($rc, 0, "$processor: no illegal instruction") or diag($output);
		like($output, qr/detail = "$best: /, "$processor: the kernel is $best");
		like($output, qr/md5 = "$expected"/, "$processor: the answer is that of this processor");
		for my $kernel (@$missing)
		{
			like($output,
				qr/ERROR:  invalid value for parameter "bitnet.kernel": "$kernel"\n.*DETAIL:  This processor can use: auto, $usable\./,
				"$processor: $kernel is refused");
		}
	}
}

done_testing();
