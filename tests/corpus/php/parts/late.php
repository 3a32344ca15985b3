<?php

return 'a part that is loaded late, ' . bin2hex(hash('crc32b', 'x', true));
