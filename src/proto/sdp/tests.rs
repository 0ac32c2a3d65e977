//! Parser and writer against hand-written lines, real descriptions, generated ones and another implementation.
