## Alembic takes the template of a revision from the folder of env.py: this one hands over to the project's own.
<%! from mako.template import Template %>\
${Template(filename=config.attributes["revision_template"]).render_unicode(**context.kwargs)}\
