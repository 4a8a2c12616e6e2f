"""Stage 0: the text given to ``python3 -I -S -c``. It holds no data, so nothing secret stands in a process table.

It says READY with its protocol and Python version, skips stray lines until the announced header, reads exactly that
many bytes, and hands the sources to an importer in memory: nothing of the agent is ever written to the host's disk.
"""

from __future__ import annotations

STAGE0 = r"""
import os,sys,gc,json,zlib,select
gc.disable()
def take(n):
    while 1:
        try: return os.read(0,n)
        except BlockingIOError: select.select([0],[],[])
os.write(1,b"READY %d %d.%d.%d\n"%((1,)+sys.version_info[:3]))
line=b""
while not line.startswith(b"ENCAMP "):
    line=b""
    while not line.endswith(b"\n"):
        c=take(1)
        if not c: sys.exit(3)
        line+=c
def load(left):
    parts=[]
    while left:
        c=take(min(left,65536))
        if not c: sys.exit(3)
        parts.append(c);left-=len(c)
    return json.loads(zlib.decompress(b"".join(parts)))
src,job=map(load,map(int,line.split()[1:]))
class Memory:
    ask=None
    def find_spec(self,name,path=None,target=None):
        if name not in src and self.ask and name.split(".")[0] in src:
            src.update(self.ask(name))
        if name in src: return spec(name,self,is_package=src[name][0])
    def create_module(self,s): pass
    def exec_module(self,m):
        n=m.__name__;m.__file__=f="<encamp>/"+n.replace(".","/")+".py"
        exec(compile(src[n][1],f,"exec",dont_inherit=True),m.__dict__)
    def get_source(self,n): return src[n][1]
spec=type(sys.__spec__)
memory=Memory()
sys.meta_path.insert(0,memory)
from encamp.agent.main import main
main(job,memory)
"""
