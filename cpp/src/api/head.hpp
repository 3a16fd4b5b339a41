// What a head in closed form asks of a network and of the rows that it is solved on.
#pragma once

#include "api/algorithm.hpp"
#include "api/examples.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// True of algorithms that take steps.
bool head_fits(const Algorithm& algorithm, const Network& net, const Examples& support,
               Fault& fault);

}  // namespace FOMAML_FAST_NAMESPACE::api
