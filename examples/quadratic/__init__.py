"""One dimension: where the first-order meta-gradient points uphill, and what follows from it.

``closed_forms``
    The meta-gradients of f(w) = a/2 (w − c)² by pencil and paper.
``library``
    The same from the library, on a network of one weight.
``experiment``, ``plots``
    Both side by side as the inner rate grows, and the descent under each.
"""
