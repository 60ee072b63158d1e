"""The desk's one blueprint: every feature puts its pages for staff on it (:data:`portal.features.DESK_PAGES`)."""

from flask import Blueprint

bp = Blueprint("staff", __name__, url_prefix="/desk")
