#include "engines/rows/products.inl"

namespace FOMAML_FAST_NAMESPACE::rows {
FOMAML_FAST_ROWS_PRODUCTS(double)
}  // namespace FOMAML_FAST_NAMESPACE::rows
