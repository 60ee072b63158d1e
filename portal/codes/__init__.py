"""What codes stand for, in the database: public tables, reviews of translations, codes nobody has words for."""
