// SPDX-License-Identifier: GPL-2.0-or-later
// The program around cxx.cc: throws through it, catches behind it, takes backtraces in it. Never patched.
#include <execinfo.h>
#include <string>
#include <stdexcept>

#include "cxx.h"
#include "loop.h"

namespace
{

long left;
void *frames[64];
long n_frames;

long thrower(long x)
{
	throw std::runtime_error(std::string(static_cast<size_t>(x), 'x'));
}

long echo(long x)
{
	return x;
}

long tracer(long)
{
	n_frames = backtrace(frames, 64);
	return 0;
}

// What flew through cxx_through(): the length of its message.
long run_through(const char *argument)
{
	try {
		cxx_through(thrower, number(argument), &left);
	} catch (const std::exception &error) {
		return static_cast<long>(std::string(error.what()).size());
	}
	return -1;
}

long run_pass(const char *argument)
{
	return cxx_through(echo, number(argument), &left);
}

// Frames from tracer() through cxx_through() to main(): cut short when one cannot be unwound.
long run_backtrace(const char *)
{
	cxx_through(tracer, 0, &left);
	return n_frames;
}

long run_left(const char *)
{
	return left;
}

long run_catch(const char *argument)
{
	return cxx_catch(thrower, number(argument));
}

long run_throw(const char *argument)
{
	try {
		return cxx_throw(number(argument));
	} catch (const std::exception &error) {
		return -static_cast<long>(std::string(error.what()).size());
	}
}

long run_virtual(const char *argument)
{
	return cxx_virtual(number(argument));
}

const struct command commands[] = {
	{ "through", run_through }, { "pass", run_pass },   { "backtrace", run_backtrace }, { "left", run_left },
	{ "catch", run_catch },	    { "throw", run_throw }, { "virtual", run_virtual },	    { nullptr, nullptr },
};

} // namespace

int main()
{
	const struct command *const tables[] = { commands, nullptr };

	return loop_main(tables);
}
