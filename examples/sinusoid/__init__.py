"""Sinusoid regression by the protocol of the MAML paper (Finn et al. 2017, section 5.1).

``settings``
    Every number of the protocol, and the published figures.
``training``
    MAML, FOMAML and a pretrained network, trained on one stream of tasks.
``scoring``
    The test on new curves, and the choice of the fine-tuning rate.
``diagnosis``, ``findings``
    Measurements that explain gaps, and what the figures say in words.
``tables``, ``plots``
    What is printed and drawn.
``experiment``
    The whole of it.
"""
