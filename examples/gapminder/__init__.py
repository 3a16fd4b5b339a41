"""Life expectancy of countries: meta-learning on real data, beside honest baselines.

A task is a country: adapt to one never seen from 3 of its 12 observations, 1952–2007, and predict
the other 9. Five folds over 142 countries. ``docs/gapminder.md`` has the method and what came out.

``data``        the table
``protocol``    folds, supports, standardisation
``settings``    every number the protocol fixes
``meta``        meta-training
``network``     a trained network that adapts by gradient steps
``heads``       a trained network whose last layer is solved for, with error bars
``training``    all that is trained in a fold
``baselines``   line, shifted mean, mixed model, Gaussian, Gaussian process
``methods``     their names
``curvature``   how large an inner rate is stable
``scores``      errors, intervals, paired differences
``calibration`` how honest error bars are
``evaluation``  the experiment: folds × methods × settings
``report``, ``error_bars``, ``cells``, ``plots``, ``bands``
``experiment``  the whole of it
"""
