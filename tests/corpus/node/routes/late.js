// What is loaded late.
'use strict';

module.exports = (request, response) => response.json({ late: true });
