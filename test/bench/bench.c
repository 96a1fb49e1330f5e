/*-------------------------------------------------------------------------
 *
 * bench.c
 *	  How fast this machine runs a model, against what its memory allows.
 *
 * Every figure is the median of several rounds; a round measures everything
 * once, so that a machine that is shared or throttled slows all of it alike
 * and the ratios hold.
 *
 *	bench [OPTION]... model.gguf
 *
 *	--threads N		1 .. N threads (default: as many as there are processors)
 *	--rounds N		how often everything is measured (5)
 *	--kernel NAME[,NAME]...	which kernels (the best ones)
 *	--profile		also prints where the time goes
 *	--series		also measures, with 1 and N threads, how decoding depends on the
 *					number of sequences and on the position, and prefill on the
 *					length of the prompt; and memory.  Implies --profile
 *	--csv FILE		writes all of it there, too, one line a value; see csv.c
 *
 * The limits are measured in the same rounds: reading the image with as many
 * threads, and int8 multiply-adds in registers.
 *
 * test/bench/bench.c
 *
 *-------------------------------------------------------------------------
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
"usage: bench [--threads N] [--rounds N] [--kernel NAME[,NAME]...] [--profile] [--series]\n"
"             [--csv FILE] model.gguf";

/* The value of an option; it can not be the next option. */
static const char *
next_argument(int argc, char **argv, int *i)
{
	if (*i + 1 >= argc || argv[*i + 1][0] == '-')
		die(usage, NULL);
	return argv[++*i];
}

static bench_options
parse_options(int argc, char **argv)
{
	bench_options o = {.threads = (int) sysconf(_SC_NPROCESSORS_ONLN), .rounds = 5};
	int			i;

	if (o.threads > MAX_THREADS)
		o.threads = MAX_THREADS;
	for (i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], "--profile") == 0)
			o.profile = true;
		else if (strcmp(argv[i], "--series") == 0)
			o.series = o.profile = true;
		else if (strcmp(argv[i], "--threads") == 0)
			o.threads = atoi(next_argument(argc, argv, &i));
		else if (strcmp(argv[i], "--rounds") == 0)
			o.rounds = atoi(next_argument(argc, argv, &i));
		else if (strcmp(argv[i], "--kernel") == 0)
			o.kernel_names = next_argument(argc, argv, &i);
		else if (strcmp(argv[i], "--csv") == 0)
			o.csv_file = next_argument(argc, argv, &i);
		else if (argv[i][0] != '-' && !o.file)
			o.file = argv[i];
		else
			die(usage, NULL);
	}
	if (!o.file || o.threads < 1 || o.threads > MAX_THREADS || o.rounds < 1 || o.rounds > MAX_ROUNDS)
		die(usage, NULL);
	return o;
}

/* The kernels of the names; returns how many there are. */
static int
select_kernels(const char *names, const bn_kernels *kernels[MAX_KERNELS])
{
	char		name[32];
	int			n = 0;

	if (!names)
		names = "auto";
	while (n < MAX_KERNELS && sscanf(names, "%31[^,]", name) == 1)
	{
		kernels[n] = bn_kernels_select(name);
		if (!kernels[n++])
			die("this CPU has no such kernel", NULL);
		names += strlen(name);
		names += *names == ',';
	}
	if (n == 0 || *names)
		die(usage, NULL);
	return n;
}

/* A setup for each kernel and number of threads. */
static void
make_setups(bench *b)
{
	const bn_kernels *kernels[MAX_KERNELS];
	int			n_kernels = select_kernels(b->options.kernel_names, kernels);
	int			n_threads = b->options.threads;
	int			i;

	b->n_setups = n_kernels * n_threads;
	b->setups = calloc((size_t) b->n_setups, sizeof(setup));
	if (!b->setups)
		die("out of memory", NULL);
	for (i = 0; i < b->n_setups; i++)
	{
		setup	   *s = &b->setups[i];

		s->kernels = kernels[i / n_threads];
		s->image = s->kernels->prefers_five != kernels[0]->prefers_five;
		if (s->image >= b->n_models)
			b->n_models = s->image + 1;
		s->n_threads = i % n_threads + 1;
		s->has_series = b->options.series && (s->n_threads == 1 || s->n_threads == n_threads);
	}
}

int
main(int argc, char **argv)
{
	static bench b;
	FILE	   *csv = NULL;
	int			i;

	b.options = parse_options(argc, argv);
	make_setups(&b);
	if (b.options.csv_file && !(csv = fopen(b.options.csv_file, "w")))
		die("could not write the CSV file", NULL);
	for (i = 0; i < b.n_models; i++)
		b.loads[i] = load_model(b.options.file, b.setups[0].kernels->prefers_five != (i > 0),
								&b.models[i]);
	make_plan(&b.plan, b.models[0].config->context_length, b.options.series);
	print_model(&b);
	measure_rounds(&b);
	print_report(&b);
	if (csv)
	{
		write_csv(&b, csv);
		if (fclose(csv) != 0)
			die("could not write the CSV file", NULL);
	}
	return 0;
}
