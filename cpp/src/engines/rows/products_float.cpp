#include "engines/rows/products.inl"

namespace FOMAML_FAST_NAMESPACE::rows {
FOMAML_FAST_ROWS_PRODUCTS(float)
}  // namespace FOMAML_FAST_NAMESPACE::rows
