#include "api/build.hpp"

#include <Eigen/Core>

#define FOMAML_FAST_TEXT_OF(x) #x
#define FOMAML_FAST_TEXT(x) FOMAML_FAST_TEXT_OF(x)

namespace FOMAML_FAST_NAMESPACE::api {

const char* compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "gcc " __VERSION__;
#else
  return "unknown";
#endif
}

const char* eigen_version() {
  return FOMAML_FAST_TEXT(EIGEN_WORLD_VERSION) "." FOMAML_FAST_TEXT(
      EIGEN_MAJOR_VERSION) "." FOMAML_FAST_TEXT(EIGEN_MINOR_VERSION);
}

}  // namespace FOMAML_FAST_NAMESPACE::api
