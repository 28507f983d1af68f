"""`python -m bench.simulate`."""

import sys

from bench.simulate.run import main

sys.exit(main())
