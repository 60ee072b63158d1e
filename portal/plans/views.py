"""The patient's pages for payment plans: importing this puts all of them on the blueprint."""

from portal.plans import agreeing_views, changing_views, living_views, paying_views, setup_views
from portal.plans.blueprint import bp

__all__ = ["agreeing_views", "bp", "changing_views", "living_views", "paying_views", "setup_views"]
