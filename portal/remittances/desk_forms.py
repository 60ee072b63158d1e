"""Bringing a remittance."""

from flask_babel import lazy_gettext as _l
from flask_wtf.file import FileField

from portal.web.forms import Form


class UploadForm(Form):
    """One 835 file."""

    file = FileField(_l("835 file"))
