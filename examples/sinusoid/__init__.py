"""Sinusoid regression by the protocol of the MAML paper (Finn et al. 2017, section 5.1).

``settings``
    Every number of the protocol, and the published figures.
``training``
    MAML, FOMAML and a pretrained network, trained on one stream of tasks.
``scoring``
    The test on new curves, and the choice of the fine-tuning rate.
``head``, ``trust``
    A last layer in closed form; where its error bars say not to trust it.
``diagnosis``, ``findings``
    Measurements that explain gaps, and what the figures say in words.
``tables``, ``head_tables``, ``plots``, ``bands``
    What is printed and drawn.
``experiment``
    The whole of it.
"""
