/*-------------------------------------------------------------------------
 *
 * report.c
 *	  The figures for people.
 *
 * test/bench/report.c
 *
 *-------------------------------------------------------------------------
 */
#include "bench.h"

const char *const part_names[BN_PARTS + 1] = {
	"embed", "norm", "ternary", "rope", "attention", "head", "other"
};

/* What is printed before the rounds. */
void
print_model(const bench *b)
{
	int			i;

	for (i = 0; i < b->n_models; i++)
	{
		const bn_image_header *h = b->models[i].header;
		const load_report *l = &b->loads[i];

		printf("load      %.2f s (%.1f MB at %.2f GB/s), image %.1f MB, attach %.0f us\n",
			   l->seconds, (double) l->file_bytes / 1e6, (double) l->file_bytes / l->seconds / 1e9,
			   (double) l->image_bytes / 1e6, l->attach_seconds * 1e6);
		printf("model     %s, %d layers of %d, %d tokens; a decoded token reads %.1f MB of weights and %.1f MB of head\n",
			   h->architecture, (int) h->config.n_layers, (int) h->config.d_model, (int) h->config.vocab_size,
			   (double) h->weights_bytes / 1e6, head_bytes(&b->models[i]) / 1e6);
	}
	printf("kernel    ");
	for (i = 0; i < b->n_setups; i += b->options.threads)
		printf("%s, ", b->setups[i].kernels->name);
	printf("%d rounds\n", b->options.rounds);
	fflush(stdout);
}

/* The median speed of a work of the table; 0 if it was not measured. */
static double
speed(const bench *b, const setup *s, work_kind kind, int n, int position)
{
	int			i = find_work(&b->plan, kind, n, position);

	return i < 0 ? 0 : samples_median(&s->figures[i].speed);
}

static void
print_table_line(const bench *b, const setup *s)
{
	double		int8 = int8_limit(b, s, false);
	double		decode = speed(b, s, DECODE, 1, 0);
	double		decode_8 = speed(b, s, DECODE, 8, 0);
	double		decode_16 = speed(b, s, DECODE, 16, 0);
	double		prefill_128 = samples_median(&s->figures[b->plan.short_prompt].speed);
	double		prefill_512 = samples_median(&s->figures[b->plan.long_prompt].speed);

	printf("%7d  %4.1f GB/s %5.2f Top/s  %6.1f %3.0f %%  %6.1f  %6.1f %3.1fx %6.1f %3.1fx  %6.1f %3.0f %%  %6.1f %3.0f %%\n",
		   s->n_threads, samples_median(&s->bandwidth) / 1e9, samples_median(&s->peak) * 2 / 1e12,
		   decode, 100 * decode / memory_limit(b, s, 0), speed(b, s, DECODE, 1, FAR_POSITION),
		   decode_8, decode_8 / decode, decode_16, decode_16 / decode,
		   prefill_128, int8 > 0 ? 100 * prefill_128 / int8 : 0,
		   prefill_512, int8 > 0 ? 100 * prefill_512 / int8 : 0);
}

static void
print_table(const bench *b, const setup *s, int n_setups)
{
	int			i;

	printf("\n");
	if (n_setups < b->n_setups)
		printf("%s\n", s->kernels->name);
	printf("             limits                          tokens/s\n"
		   "         memory       int8  decode of mem @%d    8 at once   16 at once  prefill 128    prefill 512\n"
		   "threads    read multiply+add                             of one       of one     of int8        of int8\n",
		   FAR_POSITION);
	for (i = 0; i < n_setups; i++)
		print_table_line(b, &s[i]);
}

/* Where the time goes: percent of each measurement. */
static void
print_profile(const bench *b, const setup *s)
{
	int			i;
	int			part;

	printf("\n%d thread%s, %% of time", s->n_threads, s->n_threads > 1 ? "s" : "");
	for (part = 0; part <= BN_PARTS; part++)
		printf("%11s", part_names[part]);
	printf("\n");
	for (i = 0; i < b->plan.n_table; i++)
	{
		char		name[32];

		name_work(&b->plan.works[i], name, sizeof(name));
		printf("%-21s", name);
		for (part = 0; part <= BN_PARTS; part++)
			printf("%11.1f", 100 * samples_median(&s->figures[i].share[part]));
		printf("\n");
	}
}

/* A line for each setup that has the series. */
static void
print_series(const bench *b, const setup *s, int n_setups, const char *title,
			 int (*next) (const work_plan *, int))
{
	int			i;
	int			k;

	printf("\n%s\nthreads", title);
	for (i = next(&b->plan, -1); i >= 0; i = next(&b->plan, i))
	{
		const work *w = &b->plan.works[i];

		printf("%10d", next == next_position ? w->position : w->n);
	}
	printf("\n");
	for (k = 0; k < n_setups; k++)
	{
		if (!s[k].has_series)
			continue;
		printf("%7d", s[k].n_threads);
		for (i = next(&b->plan, -1); i >= 0; i = next(&b->plan, i))
			printf("%10.1f", samples_median(&s[k].figures[i].speed));
		printf("\n");
	}
}

static void
print_memory(const bench *b)
{
	double		bytes[MEMORY_PARTS];
	int			part;

	measure_memory(&b->models[0], b->options.threads, bytes);
	printf("\nmemory, MB\n");
	for (part = 0; part < MEMORY_KV_TOKEN; part++)
		if (bytes[part] > 0)
			printf("%-12s%9.1f\n", memory_names[part], bytes[part] / 1e6);
	printf("%-12s%9.1f kB\n", "KV a token", bytes[MEMORY_KV_TOKEN] / 1e3);
}

/* What is printed after the rounds, kernels by kernels. */
void
print_report(const bench *b)
{
	int			n = b->options.threads;
	int			i;
	int			k;

	for (i = 0; i < b->n_setups; i += n)
	{
		const setup *s = &b->setups[i];

		print_table(b, s, n);
		for (k = 0; b->options.profile && k < n; k++)
			print_profile(b, &s[k]);
		if (!b->options.series)
			continue;
		print_series(b, s, n, "decode, tokens/s of so many sequences together", next_batch);
		print_series(b, s, n, "decode, tokens/s at a position", next_position);
		print_series(b, s, n, "prefill, tokens/s of a prompt of so many tokens", next_prefill);
	}
	if (b->options.series)
		print_memory(b);
}
