#!/usr/bin/python3
"""Scores a model on the held-out cases through the SQL functions.

    run_eval.py [--cases FILE] [--model NAME] [--parts] [--wrong N] [PSQL-OPTION ...]

Needs a server with the extension installed (CREATE EXTENSION bitnet is run if
it is missing) and psql; other arguments go to psql, as do PGHOST and the like.
Prints task, number of cases, score and goal; with --parts also each part of a
task, with --wrong N some wrong answers of each task.  Exit status 1 if a goal
is missed.  Cases are kept in a temporary table: nothing is left behind.
"""
import argparse
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

HEAD = r"""\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
SET client_encoding = 'UTF8';
CREATE EXTENSION IF NOT EXISTS bitnet;
CREATE TEMP TABLE eval_case (task text, id int, part text, input text, labels text[], expected text, must text[],
							 allowed text[], answer text, embedding real[], correct bool);
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     add_help=False, allow_abbrev=False)    # -h is psql's
    parser.add_argument("--help", action="help")
    parser.add_argument("--cases", default=os.path.join(ROOT, "build", "eval", "cases.tsv"))
    parser.add_argument("--model", help="value of bitnet.model")
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--wrong", type=int, default=0)
    args, rest = parser.parse_known_args()
    script = HEAD
    if args.model:
        script += "SET bitnet.model = '%s';\n" % args.model.replace("'", "''")
    script += ("COPY eval_case (task, id, part, input, labels, expected, must, allowed) FROM STDIN;\n"
               + open(args.cases, encoding="utf-8").read() + "\\.\n")
    script += open(os.path.join(HERE, "score.sql"), encoding="utf-8").read()
    script += "\\pset footer off\nSELECT * FROM eval_score;\n"
    if args.parts:
        script += ("SELECT task, part, count(*) AS n, round(100.0 * avg(correct::int), 1) AS score FROM eval_case"
                   " GROUP BY 1, 2 ORDER BY 1, 2;\n")
    if args.wrong:
        script += ("SELECT task, part, input, labels, coalesce(expected, must::text) AS expected, answer FROM"
                   " (SELECT *, row_number() OVER (PARTITION BY task ORDER BY id) AS k FROM eval_case WHERE NOT correct) AS w"
                   " WHERE k <= %d ORDER BY task, id;\n" % args.wrong)
    script += ("\\pset tuples_only on\n\\o /dev/stderr\n"
               "SELECT 'MISSED ' || string_agg(task, ' ') FROM eval_score WHERE score < goal HAVING count(*) > 0;\n")
    result = subprocess.run(["psql", "-X", "-f", "-"] + rest, input=script, text=True, stderr=subprocess.PIPE)
    sys.stderr.write(result.stderr)
    sys.exit(result.returncode or ("MISSED" in result.stderr))


if __name__ == "__main__":
    main()
