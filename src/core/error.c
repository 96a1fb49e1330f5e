/*-------------------------------------------------------------------------
 *
 * error.c
 *	  Building error details without stdio.
 *
 * src/core/error.c
 *
 *-------------------------------------------------------------------------
 */
#include "error.h"

#include <stdarg.h>
#include <stdbool.h>

typedef struct out_buffer
{
	char	   *p;
	size_t		left;			/* excluding the terminator */
} out_buffer;

static void
put_char(out_buffer *out, char c)
{
	if (out->left > 0)
	{
		*out->p++ = c;
		out->left--;
	}
}

static void
put_string(out_buffer *out, const char *s)
{
	for (; *s; s++)
		put_char(out, (*s >= 0x20 && *s < 0x7f) ? *s : '?');
}

static void
put_unsigned(out_buffer *out, uint64_t value)
{
	char		digits[20];
	int			n = 0;

	do
	{
		digits[n++] = (char) ('0' + value % 10);
		value /= 10;
	} while (value > 0);
	while (n > 0)
		put_char(out, digits[--n]);
}

static void
put_signed(out_buffer *out, int64_t value)
{
	if (value < 0)
	{
		put_char(out, '-');
		put_unsigned(out, (uint64_t) 0 - (uint64_t) value);
	}
	else
		put_unsigned(out, (uint64_t) value);
}

/* bn_format() */
static size_t
vformat(char *buf, size_t size, const char *fmt, va_list args)
{
	out_buffer	out = {buf, size > 0 ? size - 1 : 0};

	if (size == 0)
		return 0;
	for (; *fmt; fmt++)
	{
		bool		wide = false;

		if (*fmt != '%')
		{
			put_char(&out, *fmt);
			continue;
		}
		fmt++;
		if (*fmt == 'l')
		{
			wide = true;
			fmt++;
		}
		switch (*fmt)
		{
			case 's':
				put_string(&out, va_arg(args, const char *));
				break;
			case 'd':
				put_signed(&out, wide ? va_arg(args, int64_t) : va_arg(args, int));
				break;
			case 'u':
				put_unsigned(&out, wide ? va_arg(args, uint64_t) : va_arg(args, uint32_t));
				break;
			default:
				put_char(&out, '%');
				break;
		}
		if (*fmt == '\0')
			break;
	}
	*out.p = '\0';
	return (size_t) (out.p - buf);
}

size_t
bn_format(char *buf, size_t size, const char *fmt,...)
{
	va_list		args;
	size_t		len;

	va_start(args, fmt);
	len = vformat(buf, size, fmt, args);
	va_end(args);
	return len;
}

void
bn_set_error(bn_error *err, bn_status code, uint64_t offset, const char *fmt,...)
{
	if (err)
	{
		va_list		args;

		err->code = code;
		err->sys_errno = 0;
		err->offset = offset;
		err->hint[0] = '\0';
		va_start(args, fmt);
		vformat(err->detail, sizeof(err->detail), fmt, args);
		va_end(args);
	}
}

void
bn_set_hint(bn_error *err, const char *fmt,...)
{
	if (err)
	{
		va_list		args;

		va_start(args, fmt);
		vformat(err->hint, sizeof(err->hint), fmt, args);
		va_end(args);
	}
}
