"""The desk's one blueprint; the modules beside it put their pages on it, ``views.py`` gathers them."""

from flask import Blueprint

bp = Blueprint("staff", __name__, url_prefix="/desk")
