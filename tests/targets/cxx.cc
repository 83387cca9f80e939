// SPDX-License-Identifier: GPL-2.0-or-later
// C++ code to patch: scopes that must be left when an exception passes, handlers, virtual functions.
#include <stdexcept>
#include <string>

#include "cxx.h"

namespace
{

struct Scope {
	long *left;
	explicit Scope(long *counter) : left(counter)
	{
	}
	~Scope()
	{
		++*left;
	}
};

struct Shape {
	virtual ~Shape() = default;
	virtual long area(long x) const = 0;
};

struct Square : Shape {
	long area(long x) const override;
};

struct Double : Shape {
	long area(long x) const override;
};

__attribute__((noinline)) long Square::area(long x) const
{
	return x * x;
}

__attribute__((noinline)) long Double::area(long x) const
{
	return x * 2;
}

const Shape *volatile shapes[] = { new Square, new Double };

} // namespace

long cxx_through(long (*callback)(long), long x, long *left)
{
	Scope scope(left);

	return callback(x) + 1;
}

long cxx_catch(long (*callback)(long), long x)
{
	try {
		return callback(x);
	} catch (const std::runtime_error &error) {
		return static_cast<long>(std::string(error.what()).size());
	}
}

long cxx_throw(long x)
{
	if (x > 10)
		throw std::runtime_error("too large");
	return x;
}

long cxx_virtual(long x)
{
	return shapes[x & 1]->area(x) + 1;
}
