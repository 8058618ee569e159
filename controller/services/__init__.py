"""The use-cases of the controller. Each takes its ports (database, directory, clock, gateway) as arguments.

The pattern: a service is a class made by :mod:`controller.app`; a method takes the :class:`Actor` who asks, checks the
right with ``directory.require``, changes rows in ``database.transaction(actor)``, says so with ``tx.audit``, and brings
the directory up to date in ``tx.on_commit``. Errors are those of :mod:`controller.services.errors`.
"""
