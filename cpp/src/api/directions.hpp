// Directions of the inputs, along which jets have derivatives.
#pragma once

#include "api/fault.hpp"
#include "api/network.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// Whether the network has jets; faults name an argument that asks for them.
bool has_jets(const NetworkSpec& net, const char* name, Fault& fault);

/// Whether these are directions [D, n_0] of that dtype, and the network one that has jets.
bool check_directions(const Argument& directions, const Network& net, DType dtype, Fault& fault);

}  // namespace FOMAML_FAST_NAMESPACE::api
