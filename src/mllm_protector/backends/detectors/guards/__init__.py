"""Guard models of others: language models whose answer is a verdict, one file per family.

``guard`` says what a guard is, ``verdict`` turns the probabilities of tokens into one of harm (pure),
``forced`` and ``chat`` are the two ways of asking, ``local`` and ``endpoint`` where the tokens come from,
``detector`` puts them together. The texts in ``prompts`` are the layouts that the models' publishers
trained them on; each family's file names its source.
"""
