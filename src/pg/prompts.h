/*-------------------------------------------------------------------------
 *
 * prompts.h
 *	  What the model is asked, word for word.
 *
 * The constant part comes first and the text last, so that the rows of a query
 * share the beginning, which is computed once.
 *
 * src/pg/prompts.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BITNET_PROMPTS_H
#define BITNET_PROMPTS_H

/* bitnet_summarize: instruction, limit of words, text */
#define BITNET_SUMMARIZE_INSTRUCTION "Summarize the text below in one paragraph."
#define BITNET_SUMMARIZE_LIMIT " Use at most %d words."
#define BITNET_SUMMARIZE_TEXT "\n\nText:\n"

/* bitnet_classify: instruction, labels one a line, text */
#define BITNET_CLASSIFY_INSTRUCTION "Choose the category that fits the text below best."
#define BITNET_CLASSIFY_LABELS " Answer with the name of one category and nothing else.\n\nCategories:\n"
#define BITNET_CLASSIFY_BULLET "- "
#define BITNET_CLASSIFY_TEXT "\nText:\n"

#endif							/* BITNET_PROMPTS_H */
