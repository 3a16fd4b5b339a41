"""Life expectancy of countries: meta-learning on real data, beside honest baselines.

A task is a country: adapt to one never seen from 3 of its 12 observations, 1952–2007, and predict
the other 9. Five folds over 142 countries. ``docs/gapminder.md`` has the method and what came out.

``data``        the table
``protocol``    folds, supports, standardisation
``settings``    every number the protocol fixes
``meta``        meta-training
``network``     a trained network that adapts
``baselines``   line, shifted mean, mixed model, Gaussian
``curvature``   how large an inner rate is stable
``scores``      errors, intervals, paired differences
``evaluation``  the experiment: folds × methods × settings
``report``, ``plots``
``experiment``  the whole of it
"""
